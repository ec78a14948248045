"""What `test_native.OwnNetworkTests` runs in a network of its own.

One destination is on a wire whose neighbour does not answer: what is sent there
waits in the kernel and fills the send buffer, for the other one too.
"""

import socket
import time

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import Drop
from anychat.media.native import NativeRelay
from anychat.media.path import Path
from anychat.media.port import PortSettings
from test.media.test_port import Readers
from test.media.test_routes import MIDDLE, START, rtp

SSRC = Ssrc(0x11223344)
SILENT = ("192.0.2.9", 9)
FRAME = 4
PATIENCE = 20.0


def main() -> None:
    """Frames until some are lost, and until they arrive again."""
    # The system makes of it the least there is.
    port = PortSettings(0, ("0.0.0.0",), send_buffer=1)
    relay = NativeRelay(Readers(), port, lambda: None, time.monotonic)
    relay.start()
    publisher, receiver = (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)
    )
    publisher.bind(("127.0.0.1", 0))
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    forwarder = relay.forwarder
    forwarder.open_stream(SSRC, StreamKind.VIDEO, publisher.getsockname())
    for leg, address in enumerate((SILENT, receiver.getsockname())):
        forwarder.add_destination(SSRC, SessionId(leg), Path(address), False)
    end = time.monotonic() + PATIENCE
    sent = expected = 0
    copies = 2

    def frame() -> int:
        """Send one; how many packets of it arrive, which must be its first ones."""
        nonlocal sent, expected
        assert time.monotonic() < end, forwarder.counters()
        packets = [
            rtp(sent + number, MIDDLE if number else START, payload=bytes(900))
            for number in range(FRAME)
        ]
        for data in packets:
            publisher.sendto(data, ("127.0.0.1", relay.number))
        sent += FRAME
        expected += copies * FRAME
        settled = 0
        while settled < expected:
            assert time.monotonic() < end, forwarder.counters()
            counters = forwarder.counters()
            settled = counters.forwarded + sum(counters.drops.values())
        arrived = []
        try:
            while True:
                arrived.append(receiver.recv(2048))
        except BlockingIOError:
            pass
        assert arrived == packets[: len(arrived)]
        return len(arrived)

    def check() -> None:
        """Whatever was sent is counted at each destination."""
        counters = forwarder.counters()
        assert set(counters.drops) == {Drop.CONGESTED, Drop.SKIPPED}, counters.drops
        (stream,) = counters.streams
        for destination in stream.destinations:
            counted = destination.packets + sum(destination.drops.values())
            assert counted == sent, counters

    while frame() == FRAME:
        pass
    check()
    # Nothing more waits for the neighbour; what does is given up after a while, and
    # the buffer is free again.
    forwarder.remove_destination(SSRC, SessionId(0))
    copies = 1
    while frame() < FRAME:
        time.sleep(0.01)
    relay.stop()
    check()
    print("congested")


if __name__ == "__main__":
    main()
