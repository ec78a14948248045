"""A TCP connection that keeps little of what it is given to send.

What waits in a connection cannot be overtaken or taken back.  On a connection
that carries media beside signalling, so little of it may wait that signalling is
not behind it for long: `BUFFER` bytes here before the writer is told to pause,
and `UNSENT` bytes in the kernel that were not sent yet (TCP_NOTSENT_LOWAT, Linux;
elsewhere the kernel's whole buffer).
"""

import socket
from contextlib import suppress
from typing import Any

#: Bytes in Twisted's buffer; 64 KiB unless told.
BUFFER = 4096
UNSENT = 4096


def keep_short(transport: Any) -> None:
    """Let little wait in a connection from now on.

    :param transport: as a protocol has it, over TLS or not.
    """
    # Over TLS it is the one below that sends.
    sender = getattr(transport, "transport", None) or transport
    if hasattr(sender, "bufferSize"):
        sender.bufferSize = BUFFER
    handle = getattr(sender, "socket", None)
    if handle is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


def send_at_once(transport: Any) -> None:
    """Let no small frame wait for the other side's acknowledgement (RFC 896).

    Every writer here writes whole frames, so nothing is gathered by waiting; what
    waits is the next answer, up to 40 ms.
    """
    set_no_delay = getattr(transport, "setTcpNoDelay", None)
    if set_no_delay is not None:
        set_no_delay(True)
