"""Sources that a program publishes: opened, and followed to their ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.client.events import ClientEvents
from anychat.client.plane import Plane, open_source
from anychat.client.streams import Streams
from anychat.client.wishes import Publishing
from anychat.codes import AudioCodec, ResultCode
from anychat.errors import Refused
from anychat.messages import ServerParameters


class Sources:
    """What one client's publications are made of."""

    def __init__(
        self,
        reactor: Any,
        plane: Plane,
        streams: Streams,
        parameters: Callable[[], ServerParameters | None],
        events: ClientEvents,
        say: Callable[[str], None],
    ):
        """
        :param say: writes a line of the client's log.
        """
        self._reactor = reactor
        self._plane = plane
        self._streams = streams
        self._parameters = parameters
        self._events = events
        self._say = say
        self._said_opus = False

    def publish(
        self, source: Any, stream_index: int, overrides: Any
    ) -> "Deferred[Publishing]":
        """Open a source, if it is a text, and publish it.

        Fails with 22 where the file or device cannot be opened, 21 where that is
        no source.
        """
        if source is None:
            raise Refused(ResultCode.FUNCOPTERROR, "no source to publish")
        self._plane.session()
        opened: Deferred[Any]
        if isinstance(source, str | Path):
            opened = deferToThreadPool(
                self._reactor,
                self._reactor.getThreadPool(),
                open_source,
                str(source),
            )
            opened.addErrback(_not_opened)
        else:
            opened = succeed(source)
        # The last media plane may still be reading a source.
        opened.addCallback(self._plane.stopped)
        return opened.addCallback(self._publish, stream_index, overrides)

    def _publish(
        self, source: Any, stream_index: int, overrides: Any
    ) -> "Deferred[Publishing]":
        parameters = self._parameters()
        if (
            parameters is not None
            and parameters.audio_codec == AudioCodec.AMR_WB
            and not self._said_opus
        ):
            self._said_opus = True
            self._say(
                "The server's audio codec is AMR-WB(11), which cannot be encoded "
                f"here: publishing Opus at {parameters.audio_bitrate} bps"
            )
        if getattr(source, "on_end", self) is None:
            source.on_end = lambda: self._ended(source)
        return self._streams.publish(source, stream_index, overrides)

    def _ended(self, source: Any) -> None:
        for publishing in self._streams.publications:
            if publishing.source is source:
                self._streams.unpublish(publishing.stream_index)
                self._events.on_publish_end(publishing.stream_index)


def _not_opened(failure: Failure) -> None:
    if failure.check(OSError) is not None:
        raise Refused(ResultCode.DEVICEOPENFAIL, failure.getErrorMessage())
    failure.trap(ValueError)
    raise Refused(ResultCode.FUNCOPTERROR, failure.getErrorMessage())
