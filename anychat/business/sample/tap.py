"""``twistd anychat-business``: its options, and the sample as a service.

In the background its log and its pid file stand beside the configuration under
its name; options of twistd (``--logfile``, ``--logger``, ``--syslog``,
``--pidfile``) ask for others.
"""

from typing import Any, ClassVar

from twisted.logger import ILogObserver
from twisted.python import usage

from anychat.business.sample.console import complain, existing
from anychat.business.sample.server import SampleServer
from anychat.business.sample.users import Users, users_beside
from anychat.business.settings import FILE_NAME, Settings, load
from anychat.errors import ConfigError
from anychat.log import FileObserver, LogFile


class Options(usage.Options):
    """Command line of ``twistd anychat-business``."""

    synopsis = "Usage: twistd [options] anychat-business [--config=INI]"
    optParameters: ClassVar = [
        ["config", "c", FILE_NAME, "The configuration, beside which users are kept."]
    ]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.ini")})

    settings: Settings
    """The configuration, once the command line has been parsed."""

    def postOptions(self) -> None:
        """Read the configuration, before twistd goes into the background."""
        try:
            self.settings = load(existing(self["config"]))
        except ConfigError as error:
            raise SystemExit(complain(str(error), 2)) from None
        assert self.settings.path is not None
        twistd: Any = self.parent
        if twistd["pidfile"] == "twistd.pid":
            twistd["pidfile"] = str(self.settings.path.with_suffix(".pid"))


class TwistdSample(SampleServer):
    """The sample as a part of twistd's application."""

    def __init__(self, twistd: Any, reactor: Any, settings: Settings) -> None:
        """
        :param twistd: the options of twistd.
        """
        assert settings.path is not None
        super().__init__(reactor, settings, Users(users_beside(settings.path)))
        self._twistd = twistd
        self._log_path = settings.path.with_suffix(".log")

    def setServiceParent(self, parent: Any) -> None:
        """Become the application's part and give it the log's observer."""
        super().setServiceParent(parent)
        asked_for = ("nodaemon", "debug", "logfile", "logger", "syslog")
        if not any(self._twistd[name] for name in asked_for):
            parent.setComponent(ILogObserver, FileObserver(LogFile(self._log_path)))


def makeService(options: Options, reactor: Any = None) -> TwistdSample:
    """Make the service of ``twistd anychat-business``.

    :param reactor: default: the global one.
    """
    if reactor is None:
        from twisted.internet import reactor
    return TwistdSample(options.parent, reactor, options.settings)
