"""What both ends of a business channel have in common.

Boxes in and out, questions that wait for their answers, heartbeats, and a limit
to what waits for a peer that does not read.  See `business_server` and
`business_client` for the dialogue.
"""

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.codes import ResultCode
from anychat.errors import PeerError, Refused, Unavailable
from anychat.protocols.boxes import ANSWER, ASK, COMMAND, ERROR, Box, BoxReader
from anychat.protocols.business_boxes import (
    decode_refusal,
    encode_answer,
    encode_asking,
    encode_refusal,
)
from anychat.protocols.business_commands import Command, Heartbeat

_log = Logger()

#: Bytes of a tag, which the answer carries again.
MAX_TAG = 64

#: Seconds after which a connection that is being closed is cut.
CLOSING_TIME = 5.0

_TAG = re.compile(rb"[0-9a-f]{1,16}")

#: What came of a command: the box that answers, or why there is none.
Outcome = Box | Refused | Unavailable

Settle = Callable[[type[Command], Outcome], None]


@implementer(IPushProducer)
class BusinessEnd:
    """One end of a channel.

    :param seconds: monotonic clock.
    :param call_later: calls a function after so many seconds of that clock.
    :param maximum: bytes of a box that is taken at first.
    """

    #: What becomes of questions that are open when the link goes.
    GONE = ResultCode.CONNECT_ABORT

    def __init__(
        self,
        seconds: Callable[[], float],
        call_later: Callable[..., IDelayedCall],
        maximum: int,
    ):
        self.transport: Any = None
        self.connected = True
        """Until the connection is gone."""
        self.closed = False
        """Whether the channel is over, or only waits for its bytes to go out."""
        self.last_heard = seconds()
        """When the peer last sent something."""
        self.late = 0
        """Answers that came after nobody waited for them any more."""
        self.ignored = 0
        """Commands that nobody knows here and that wanted no answer."""
        self.unsent = 0
        """Bytes that were written since the peer fell behind."""
        self._seconds = seconds
        self._call_later = call_later
        self._reader = BoxReader(maximum)
        self._open: dict[bytes, tuple[type[Command], Settle]] = {}
        self._asked = 0
        self._behind = self._produces = False
        self._heartbeat = self._timeout = self._next_beat = 0.0
        self._timer: IDelayedCall | None = None

    # What Twisted calls.

    def dataReceived(self, data: bytes) -> None:
        """Take the boxes in these bytes one after the other."""
        if self.closed:
            return  # TLS delivers what comes before it has ended
        self.last_heard = self._seconds()
        try:
            for box in self._reader.receive(data):
                self._take(box)
                if self.closed:
                    return
        except PeerError as error:
            self._fail(error)
        except Exception:
            _log.failure("A box of the business channel met a fault")
            self._fail(PeerError("met a fault of ours", ResultCode.EXCEPTION))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, whoever ended it."""
        self._end()
        self._stop_timer()
        self.unsent = 0
        self.connected = False
        self._gone(reason)

    def pauseProducing(self) -> None:
        """The peer reads more slowly than we write: count from here."""
        self._behind = True

    def resumeProducing(self) -> None:
        """Everything written has gone out."""
        self._behind = False
        self.unsent = 0

    def stopProducing(self) -> None:
        """The connection is ending; `connectionLost` follows."""

    # What each end does in its own way.

    def _command(self, name: bytes, tag: bytes | None, box: Box) -> None:
        """Carry a command out; Refused and PeerError are seen to."""
        raise NotImplementedError

    def _fail(self, error: PeerError) -> None:
        """The peer broke the protocol: close."""
        raise NotImplementedError

    def _gone(self, reason: Failure) -> None:
        """The connection is gone."""
        raise NotImplementedError

    def _over(self) -> None:
        """This end is closed; comes before open questions are given up."""

    def _produce(self) -> None:
        """Be told from here on when the peer does not read."""
        self._produces = True
        self.transport.registerProducer(self, True)

    # Boxes.

    def _take(self, box: Box) -> None:
        for kind in (ANSWER, ERROR):
            tag = box.get(kind)
            if tag is not None:
                self._answered(tag, box, kind is ERROR)
                return
        name, tag = box.get(COMMAND), box.get(ASK)
        if name is None:
            raise PeerError("sent a box that is neither a command nor an answer")
        if tag is not None and len(tag) > MAX_TAG:
            raise PeerError(f"asked with a tag of more than {MAX_TAG} bytes")
        try:
            self._command(name, tag, box)
        except Refused as error:
            if tag is not None:
                self._write(encode_refusal(tag, error))
            else:
                self.ignored += 1

    def _answered(self, tag: bytes, box: Box, refused: bool) -> None:
        waiting = self._open.pop(tag, None)
        if waiting is None:
            if not _TAG.fullmatch(tag) or not 0 < int(tag, 16) <= self._asked:
                raise PeerError("answered what was not asked")
            self.late += 1
            return
        command, settle = waiting
        settle(command, decode_refusal(box) if refused else box)

    def _next_tag(self) -> bytes:
        self._asked += 1
        return b"%x" % self._asked

    def _ask(self, command: type[Command], settle: Settle, **values: Any) -> bytes:
        """Send a command that wants an answer; its tag.

        :raises Refused: 21, a value does not fit.
        """
        tag = self._next_tag()
        box = encode_asking(command, tag, values)
        self._open[tag] = command, settle
        self._write(box)
        return tag

    def _answer(self, command: type[Command], tag: bytes | None, **values: Any) -> None:
        if tag is not None:
            self._write(encode_answer(command, tag, values))

    def _write(self, data: bytes) -> None:
        if self.closed:
            return
        self.transport.write(data)
        if self._behind:  # by this write, or one before
            self.unsent += len(data)

    # Heartbeats.

    def _start_heartbeats(self, heartbeat: float, timeout: float) -> None:
        """Show that this end lives, and see whether the other one does."""
        self._stop_timer()
        self._heartbeat, self._timeout = heartbeat, timeout
        self._next_beat = self._seconds() + heartbeat
        self._await_beat()

    def _await_beat(self) -> None:
        due = min(self._next_beat, self.last_heard + self._timeout)
        self._timer = self._call_later(max(0.0, due - self._seconds()), self._beat)

    def _beat(self) -> None:
        self._timer = None
        now = self._seconds()
        if now >= self.last_heard + self._timeout:
            self._fail(
                PeerError(
                    f"was silent for {self._timeout:g} s", ResultCode.CONNECT_TIMEOUT
                )
            )
            return
        if now >= self._next_beat:
            self._next_beat = now + self._heartbeat
            self._ask(Heartbeat, _nothing)
        if not self.closed:
            self._await_beat()

    # The end.

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """Nothing is read or written any more; nobody waits any longer."""
        if self.closed:
            return
        self.closed = True
        self._stop_timer()
        self._over()
        waiting, self._open = self._open, {}
        for command, settle in waiting.values():
            settle(command, Unavailable(self.GONE, "the link is gone"))

    def _lose(self) -> None:
        """Close after what was written has gone out, or soon."""
        if self.closed:
            return
        self._end()
        if self._produces:
            # With a producer, loseConnection would wait for it.
            self.transport.unregisterProducer()
        self._timer = self._call_later(CLOSING_TIME, self._cut)
        self.transport.loseConnection()

    def _cut(self) -> None:
        self._timer = None
        self.abort()

    def abort(self) -> None:
        """End the channel at once."""
        self._end()
        self._stop_timer()
        if self.connected:  # TLS takes it amiss afterwards
            self.transport.abortConnection()


def _nothing(command: type[Command], answer: Outcome) -> None:
    """A heartbeat's answer: that it came is all that counts."""
