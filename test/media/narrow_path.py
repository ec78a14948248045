"""What `test_native.OwnNetworkTests` runs in a network of its own.

Its loopback carries 576 bytes at a time, and there is no other way out.
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
from test.media.test_routes import rtp

SSRC = Ssrc(0x11223344)


def main() -> None:
    """Long packets to one that is there, and to one that is not."""
    port = PortSettings(0, ("127.0.0.1",))
    # It waits after each batch, so that the next ones are runs.
    relay = NativeRelay(Readers(), port, lambda: None, time.monotonic, coalesce=1000)
    relay.start()
    publisher, receiver = (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)
    )
    publisher.bind(("127.0.0.1", 0))
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(20)
    forwarder = relay.forwarder
    forwarder.open_stream(SSRC, StreamKind.AUDIO, publisher.getsockname())
    for leg, address in enumerate((("192.0.2.1", 9), receiver.getsockname())):
        forwarder.add_destination(SSRC, SessionId(leg), Path(address), False)
    for start in range(0, 200, 20):
        window = [
            rtp(number, payload=bytes(1100)) for number in range(start, start + 20)
        ]
        for data in window:
            publisher.sendto(data, ("127.0.0.1", relay.number))
        assert [receiver.recv(2048) for _ in window] == window
    relay.stop()
    counters = forwarder.counters()
    assert counters.drops == {Drop.UNREACHABLE: 200}, counters.drops
    assert counters.forwarded == 200, counters
    print("unsegmented", counters.unsegmented)


if __name__ == "__main__":
    main()
