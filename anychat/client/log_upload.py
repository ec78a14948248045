"""The client's log for the server: when it asks, or of one's own accord.

A server with AutoUploadLogInfo asks after each login (`LogWanted`); option 134 is
`LogUpload.upload`.  The end of ``BRAnyChatCore.log`` is sent, one part after the
other, each after the answer to the one before.
"""

import os
from collections.abc import Callable, Generator

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.python.failure import Failure

from anychat.client.log import ClientLog
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import LogPart, Message

#: Bytes of a part; as in ``protocols.formats_quality``.
PART = 32768
#: Most that is ever sent, and what is sent unasked.
MOST = 2 << 20


def tail(path: str, maximum: int) -> bytes:
    """The end of a log, begun at a line where that is possible.

    :raises OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - maximum))
        data = file.read(maximum)
    if size > maximum:
        _, line, rest = data.partition(b"\n")
        return rest if line and rest else data
    return data


class LogUpload:
    """A client's log on its way to the server.

    :param log: the client's.
    :param ask: sends a message that is answered by `Result`.
    """

    def __init__(self, log: ClientLog, ask: Callable[[Message], "Deferred[None]"]):
        self.automatic = True
        """Send it when the server asks."""
        self._log = log
        self._ask = ask
        self._under_way = False

    def wanted(self, maximum: int) -> None:
        """The server asks for it."""
        if self.automatic and self._log.path is not None and not self._under_way:
            self.upload(maximum).addErrback(self._not_sent)

    @inlineCallbacks
    def upload(self, maximum: int = MOST) -> Generator["Deferred[None]", None, int]:
        """Send the log (option 134); fires with the number of bytes sent.

        Fails with 9 (there is no log), 13 (it is being sent), 43 (no room at the
        server), 20 (the server takes none).
        """
        if self._under_way:
            raise Refused(ResultCode.RESOURCEUSED)
        path = self._log.path
        try:
            data = tail(path, min(maximum, MOST)) if path is not None else b""
        except OSError as error:
            raise Refused(ResultCode.DATANOTEXIST, str(error)) from error
        if not data:
            raise Refused(ResultCode.DATANOTEXIST)
        self._under_way = True
        try:
            for offset in range(0, len(data), PART):
                part = data[offset : offset + PART]
                yield self._ask(LogPart(offset, len(data), part))
        finally:
            self._under_way = False
        return len(data)

    def _not_sent(self, failure: Failure) -> None:
        if failure.check(Refused):
            self._log(f"The log was not sent: {failure.getErrorMessage()}")
