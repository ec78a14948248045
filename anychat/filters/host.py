"""The host of a compiled plug-in: ``python -m anychat.filters.host FILE``.

A child process of the server, which starts, watches and ends it (see
`anychat.filters.native`).  It speaks `anychat.filters.host_wire` over its
standard streams.  What a plug-in prints goes to standard error.

One thing is done at a time, for the C interface is not reentrant; but what the
plug-in sends, from inside a hook or from threads of its own, goes out at once.
The process ends when its input does, and with the server.
"""

import ctypes
import fcntl
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from anychat.filters.abi import Library, LoadError
from anychat.filters.host_wire import (
    MAX_REASON,
    decode_call,
    encode_done,
    encode_report,
)
from anychat.filters.texts import cut
from anychat.protocols.boxes import BoxReader

#: Bytes read at once.
READ_SIZE = 65536

#: Loads the plug-in; given what `Library` wants after the path.
Load = Callable[
    [Callable[[int, int, bytes], None], Callable[[int], None]],
    Any,
]

_PR_SET_PDEATHSIG = 1


class Host:
    """The plug-in, and the conversation about it.

    :param write: takes bytes for the server, from any thread.
    """

    def __init__(self, load: Load, write: Callable[[bytes], None]) -> None:
        self._load = load
        self._write = write
        self._reader = BoxReader()
        self._library: Any = None

    def start(self) -> bool:
        """Load and initialise the plug-in; whether it can be used."""
        try:
            library = self._load(self._send, self._refuse)
            version = library.version()
            if not library.init():
                raise LoadError("BRFP_InitFilter returned 0")
        except LoadError as error:
            self._report("NotLoaded", reason=cut(str(error), MAX_REASON))
            return False
        self._library = library
        names = ",".join(hook.camel for hook in library.hooks)
        self._report("Loaded", version=version, hooks=names)
        return True

    def receive(self, data: bytes) -> None:
        """Do what the server wants.

        :raises PeerError: it is not understood.
        """
        for box in self._reader.receive(data):
            hook, tag, values = decode_call(box)
            self._write(encode_done(tag, **self._library.call(hook, values)))

    def end(self) -> None:
        """Let the plug-in end."""
        self._library.release()

    def _report(self, command: str, **values: int | str | bytes) -> None:
        self._write(encode_report(command, **values))

    def _send(self, user_id: int, handle: int, data: bytes) -> None:
        self._report("Send", user_id=user_id, handle=handle, data=data)

    def _refuse(self, length: int) -> None:
        self._report("SendRefused", length=length)


class Sink:
    """Writes to a descriptor, whole boxes from whatever thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write all of it; ends the process where nobody reads any more."""
        view = memoryview(data)
        with self._lock:
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                os._exit(1)


def take_streams() -> tuple[int, int]:
    """Descriptors for the conversation, which the plug-in does not come upon.

    What it reads from standard input is empty, and what it prints goes to
    standard error.  What it starts inherits neither of ours.
    """
    source, sink = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def end_with_parent(parent: int) -> None:
    """See to it that this process does not outlive the server, whatever it does.

    :param parent: the server's process id.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)  # it has gone already


def leave_signals_to_server() -> None:
    """Go on where a terminal or an init system tells all processes to end.

    The server is one of those and ends this one in good order.  Functions that
    do nothing, since what the plug-in starts would inherit ignored signals.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
        signal.siginterrupt(number, False)


def print_by_lines() -> None:
    """Have what a plug-in prints come out line by line, crash or no crash."""
    library = ctypes.CDLL(None)
    library.setlinebuf(ctypes.c_void_p.in_dll(library, "stdout"))


def serve(host: Host, source: int) -> int:
    """Do what the server wants until it wants no more; an exit code."""
    try:
        if not host.start():
            return 1
        while data := os.read(source, READ_SIZE):
            host.receive(data)
        host.end()
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def main() -> NoReturn:
    """Serve until the input ends.  Arguments: the library, the server's pid."""
    path, parent = Path(sys.argv[1]), int(sys.argv[2])
    leave_signals_to_server()
    end_with_parent(parent)
    source, sink = take_streams()
    print_by_lines()
    host = Host(lambda send, refuse: Library(path, send, refuse), Sink(sink).write)
    status = serve(host, source)
    sys.stderr.flush()
    # Threads of the plug-in may run on: Python would wait for some of them, and
    # others would call into what is being taken down.
    os._exit(status)


if __name__ == "__main__":
    main()
