"""The one place that loads the media plane, and FFmpeg with it.

Programs that only signal load nothing here and need no PyAV.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.client import log as lines
from anychat.client.waiting import beside
from anychat.codes import ResultCode, StreamTransMode
from anychat.errors import LocalError, Refused
from anychat.messages import MediaSetup


def _missing(error: ImportError) -> Refused:
    return Refused(
        ResultCode.WARNING_MEDIACOREFAIL, f"media needs PyAV and numpy: {error}"
    )


def media_session(
    reactor: Any,
    log: Callable[[str], None],
    on_udp: Callable[[bool, float | None], None],
    random_bytes: Callable[[int], bytes],
) -> Any:
    """A `MediaSession`; `Refused` 783 where the libraries are missing."""
    try:
        from anychat.client.media.session import MediaSession
    except ImportError as error:
        raise _missing(error) from error
    return MediaSession(reactor, log, on_udp, random_bytes)


def open_source(text: str) -> Any:
    """Open a file, a device or ``test:``; blocks as long as that takes.

    :raises ValueError: the text cannot be understood.
    :raises OSError: the file or device cannot be opened.
    """
    try:
        from anychat.client.media.source import open_source
    except ImportError as error:
        raise _missing(error) from error
    return open_source(text)


def mp4_sink(path: str) -> Any:
    """A sink that writes an MP4."""
    try:
        from anychat.client.media.sinks import Mp4Sink
    except ImportError as error:
        raise _missing(error) from error
    return Mp4Sink(path)


class Plane:
    """A client's media plane: made when it is needed, told where the server is."""

    _log = Logger()

    def __init__(
        self,
        make: Callable[..., Any],
        reactor: Any,
        say: Callable[[str], None],
        warn: Callable[[ResultCode], None],
        random_bytes: Callable[[int], bytes],
    ):
        """
        :param make: `media_session`, or what does as well.
        :param say: writes a line of the client's log.
        :param warn: tells the program.
        """
        self._make = make
        self._reactor = reactor
        self._say = say
        self._warn = warn
        self._random_bytes = random_bytes
        self._setup: tuple[MediaSetup, str] | None = None
        self._mode = StreamTransMode.UDP
        self._link: Any = None
        self._session: Any = None
        self._adaptive = True
        self._stopping: Deferred[Any] = succeed(None)

    def offer(self, mode: StreamTransMode) -> None:
        """Take the server's word on how media goes."""
        self._mode = mode
        if self._session is not None:
            self._session.offer(mode)

    def link_up(self, link: Any) -> None:
        """The session has a link, or a new one."""
        self._link = link
        if self._session is not None:
            self._session.link_up(link)

    def link_down(self) -> None:
        """The session's link is gone."""
        self._link = None
        if self._session is not None:
            self._session.link_down()

    @property
    def setup(self) -> MediaSetup | None:
        """The server's set-up; None before it came, and over a plain link."""
        return None if self._setup is None else self._setup[0]

    def prepare(self, setup: MediaSetup, host: str, at_once: bool) -> None:
        """Take the server's set-up.

        :param host: IP address of the server's end of the TCP link.
        :param at_once: open the UDP path now, not when it is first needed.
        """
        self._setup = setup, host
        if self._session is not None:
            self._configure()
        elif at_once:
            try:
                self.session()
            except Refused as error:
                self._say(f"Warning: {error}")
                self._warn(error.code)

    def session(self) -> Any:
        """The media session.

        :raises Refused: 20, the server gave no set-up, as over a plain
            connection; 115, one without a usable address; 783, no PyAV.
        """
        if self._session is None:
            if self._setup is None:
                raise Refused(ResultCode.FUNCNOTALLOW)
            made: list[Any] = []

            def on_udp(bound: bool, delay: float | None) -> None:
                if made and made[0] is self._session:
                    self._udp(bound, delay)

            made.append(
                self._make(self._reactor, self._say, on_udp, self._random_bytes)
            )
            self._session = made[0]
            self._session.adaptive = self._adaptive
            self._session.offer(self._mode)
            if self._link is not None:
                self._session.link_up(self._link)
            self._configure()
            if self._session is None:
                raise Refused(ResultCode.CONNECT_ERRORIP)
        return self._session

    def adapt(self, adaptive: bool) -> None:
        """Whether media follows what the way to the server takes (option 228)."""
        self._adaptive = adaptive
        if self._session is not None:
            self._session.adaptive = adaptive

    def stop(self) -> None:
        """End all media; the set-up is forgotten."""
        session, self._session = self._session, None
        self._setup = None
        self._link = None
        self._mode = StreamTransMode.UDP
        if session is not None:
            before, stopped = self._stopping, maybeDeferred(session.stop)
            self._stopping = stopped.addErrback(self._fault).addCallback(
                lambda _: before
            )

    def stopped(self, result: Any = None) -> "Deferred[Any]":
        """Fires with ``result`` when nothing of what was stopped runs any more."""
        return beside(self._stopping).addCallback(lambda _: result)

    def _configure(self) -> None:
        assert self._setup is not None
        try:
            self._session.configure(*self._setup)
        except (OSError, LocalError) as error:
            self._say(f"Warning: UDP cannot be used: {error}")
            self._udp(False, None)
            if isinstance(error, LocalError):
                # The server named no address that could be used.
                self.stop()

    def _udp(self, bound: bool, delay: float | None) -> None:
        if bound:
            self._say(lines.udp_line(delay))
        else:
            self._say(lines.UDP_ABNORMAL)
            if self._mode is StreamTransMode.UDP_THEN_TCP:
                self._say(lines.MEDIA_OVER_TCP)
            self._warn(ResultCode.WARNING_UDPFAIL)

    def _fault(self, failure: Failure) -> None:
        self._log.failure("the media plane did not stop well", failure)
