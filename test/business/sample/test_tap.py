"""``twistd anychat-business``: options, log and pid file."""

import io
from contextlib import redirect_stderr
from pathlib import Path

from twisted.application.service import Application, IServiceMaker
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.sample import tap
from anychat.log import Log


class TwistdTests(SynchronousTestCase):
    """The plugin under the options of twistd."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "my.ini"
        self.path.write_text("[Base Settings]\nName=shop\n")

    def options(self, *arguments):
        """Parse a command line of twistd."""
        options = ServerOptions()
        options.parseOptions([*arguments, "anychat-business", f"--config={self.path}"])
        return options

    def observer(self, *arguments):
        """The log's observer that the service asks for; None: twistd's own."""
        application = Application("anychat-business")
        options = self.options(*arguments)
        tap.makeService(options.subOptions, Clock()).setServiceParent(application)
        return application.getComponent(ILogObserver)

    def test_plugin(self):
        """Twisted finds the plugin."""
        [plugin] = [
            plugin
            for plugin in getPlugins(IServiceMaker)
            if plugin.tapname == "anychat-business"
        ]
        self.assertIs(plugin.options, tap.Options)
        self.assertIs(plugin.makeService, tap.makeService)

    def test_settings(self):
        """The service has the settings of its configuration."""
        service = tap.makeService(self.options().subOptions, Clock())
        self.assertEqual(service.settings.name, "shop")
        self.assertEqual(service.settings.path, self.path)

    def test_ownFiles(self):
        """In the background log and pid file stand beside the configuration."""
        self.assertEqual(self.options()["pidfile"], f"{self.directory}/my.pid")
        Log(self.observer())("hello")
        self.assertIn("\thello\n", (self.directory / "my.log").read_text())

    def test_askedForFiles(self):
        """What is asked for by options of twistd takes their place."""
        for arguments in (
            ("--nodaemon",),
            ("--logfile=other.log",),
            ("--logger=anychat.log.ConsoleObserver",),
            ("--syslog",),
        ):
            self.assertIsNone(self.observer(*arguments))
        name = self.options("--pidfile=other.pid")["pidfile"]
        self.assertEqual(Path(name).name, "other.pid")
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def assertRefused(self, text):
        """Before anything is started twistd ends with 2 and that complaint."""
        with redirect_stderr(io.StringIO()) as printed:
            ended = self.assertRaises(SystemExit, self.options)
        self.assertEqual(ended.code, 2)
        self.assertTrue(printed.getvalue().startswith("anychat-business: "))
        self.assertIn(text, printed.getvalue())

    def test_wrongConfiguration(self):
        """A wrong value tells its place."""
        self.path.write_text("[Base Settings]\nServerPort=0\n")
        self.assertRefused("line 2: [Base Settings] ServerPort='0'")

    def test_noConfiguration(self):
        """A configuration that is not there is told, since users stand beside it."""
        self.path.unlink()
        self.assertRefused(f"{self.path}: no such file")

    def test_unknownOption(self):
        """What is no option is refused in twistd's own way."""
        self.assertRaises(
            UsageError, ServerOptions().parseOptions, ["anychat-business", "--x"]
        )
