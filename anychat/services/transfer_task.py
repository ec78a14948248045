"""A transfer under way, as far as its content goes."""

from anychat.codes import ResultCode, TransferKind
from anychat.core.state import Transfer
from anychat.ids import SessionId
from anychat.services.transfer_ends import FedSource, HandOver, LocalSink
from anychat.transfers.turns import Turns

#: Bytes that must come of a file for the server in a while, if others wait.
LEAST_PROGRESS = 65_536


class Task:
    """A transfer under way.

    Three offsets say how far it is: what the receiver has, what came of the
    sender, and up to where that one may send.
    """

    __slots__ = (
        "active",
        "hand_over",
        "length",
        "limit",
        "mark",
        "passed",
        "quiet",
        "ready",
        "restart",
        "restarts",
        "sink",
        "source",
        "taken",
        "told",
        "transfer",
        "turn",
        "waits",
    )

    def __init__(self, transfer: Transfer):
        self.transfer = transfer
        self.length = transfer.length
        self.source: FedSource | None = None
        """The server's own end that sends, if it is the server."""
        self.sink: LocalSink | None = None
        """The server's own end that receives."""
        self.hand_over: HandOver | None = None
        """What has become of a buffer that was received."""
        self.ready = False
        """The receiver has said where to go on, and its link stands."""
        self.active = False
        """It has a window."""
        self.restart = True
        """The sender has not been told where to go on."""
        self.taken = self.passed = self.limit = 0
        self.told = 0
        """What the receiver had when the sender last heard of it."""
        self.restarts = 0
        self.waits: Turns[SessionId | None, Task] | None = None
        """Where it waits for a window."""
        self.turn = 0.0
        """Seconds that it has had its window."""
        self.mark = -LEAST_PROGRESS
        """How far it was when something last came of it."""
        self.quiet = 0.0
        """Seconds that nothing came of it."""


def gone(kind: TransferKind) -> ResultCode:
    """What becomes of a task of that kind whose other end is of no use."""
    if kind is TransferKind.BUFFER:
        return ResultCode.TRANSBUF_NOTASK
    return ResultCode.TRANSFILE_FAILED
