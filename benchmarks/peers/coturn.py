"""coturn as a relay: a client's ChannelData out to a peer, 1:1.

Each source is a TURN client with an allocation and a channel (RFC 8656); the
packets go in as ChannelData and come out as they were.
"""

import os
import shutil
import socket
import struct
import tempfile
from pathlib import Path

from benchmarks.peers.measure import Load
from benchmarks.peers.running import (
    HOST,
    Flow,
    Running,
    Skipped,
    leaf,
    start,
    udp,
    wait_readable,
)

_MAGIC = 0x2112A442
_ALLOCATE, _CHANNEL_BIND, _BINDING = 0x003, 0x009, 0x001
_LIFETIME, _XOR_PEER, _XOR_RELAYED, _TRANSPORT, _CHANNEL = 0x0D, 0x12, 0x16, 0x19, 0x0C
_PORT = 3478

CONFIGURATION = f"""\
listening-ip={HOST}
relay-ip={HOST}
listening-port={_PORT}
min-port=30000
max-port=40000
no-auth
no-tls
no-dtls
no-cli
no-tcp
allow-loopback-peers
log-file=stdout
simple-log
"""


def attribute(kind: int, value: bytes) -> bytes:
    """One STUN attribute."""
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind: int, *attributes: bytes) -> bytes:
    """One STUN request."""
    body = b"".join(attributes)
    return struct.pack("!HHI", kind, len(body), _MAGIC) + os.urandom(12) + body


def peer(host: str, port: int) -> bytes:
    """XOR-PEER-ADDRESS."""
    address = struct.unpack("!I", socket.inet_aton(host))[0] ^ _MAGIC
    masked = port ^ _MAGIC >> 16
    return attribute(_XOR_PEER, struct.pack("!BBHI", 0, 1, masked, address))


def ask(client: socket.socket, request: bytes) -> None:
    """Send a request; the answer must be its success."""
    client.send(request)
    answer = wait_readable(client)
    (wanted,) = struct.unpack("!H", request[:2])
    (kind,) = struct.unpack("!H", answer[:2])
    if kind != wanted | 0x100:
        raise Skipped(f"coturn refuses a request of type {wanted:#05x}: {kind:#05x}")


def run(load: Load) -> Running:
    """Start it with a channel for each source."""
    if load.copies != 1:
        raise Skipped("coturn relays 1:1 only")
    if shutil.which("turnserver") is None:
        raise Skipped("coturn is not installed (apt-get install coturn)")
    directory = Path(tempfile.mkdtemp(prefix="anychat-coturn-"))
    try:
        path = directory / "turnserver.conf"
        path.write_text(CONFIGURATION + f"userdb={directory}/turndb\n")
        probe = udp()
        probe.connect((HOST, _PORT))

        def ready() -> bool:
            try:
                probe.send(message(_BINDING))
                return bool(wait_readable(probe, 0.2))
            except (OSError, Skipped):
                return False

        process = start(
            ["turnserver", "-c", str(path), "-m", "1", "--pidfile", f"{directory}/pid"],
            ready,
        )
        probe.close()
    finally:
        shutil.rmtree(directory)
    running = Running(process, leaf(process.pid), channels=True)
    try:
        for number in range(load.sources):
            sink = udp()
            running.sinks.append(sink)
            client = udp()
            running.flows.append(Flow(client, _PORT, 1000 + number, 0x4000 + number))
            client.connect((HOST, _PORT))
            ask(
                client,
                message(
                    _ALLOCATE,
                    attribute(_TRANSPORT, b"\x11\0\0\0"),
                    attribute(_LIFETIME, struct.pack("!I", 600)),
                ),
            )
            ask(
                client,
                message(
                    _CHANNEL_BIND,
                    attribute(_CHANNEL, struct.pack("!HH", 0x4000 + number, 0)),
                    peer(*sink.getsockname()),
                ),
            )
    except BaseException:
        running.close()
        raise
    return running
