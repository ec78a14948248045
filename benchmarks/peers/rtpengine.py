"""rtpengine in user space: offer and answer 1:1, publish and subscribe 1:N.

A port at which more than 50 packets waited once may stay deaf, so after an overload
everything is set up anew.

Commands go over its "ng" protocol: a cookie and a bencoded dictionary in a UDP
datagram, and the same back.
"""

import os
import re
import shutil
import socket
from typing import Any

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

_CONTROL_PORT = 2223
_COMMAND = [
    "rtpengine",
    "--config-file=none",
    "--table=-1",
    f"--interface={HOST}",
    f"--listen-ng={HOST}:{_CONTROL_PORT}",
    "--foreground",
    "--log-level=0",
    "--num-threads=1",
    "--port-min=24000",
    "--port-max=60000",
]


def bencode(value: Any) -> bytes:
    """Bytes of integers, texts, lists and dictionaries."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    items = sorted(value.items())
    return b"d" + b"".join(bencode(key) + bencode(each) for key, each in items) + b"e"


def bdecode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value there, and where the next one begins.

    :raise ValueError: it is none.
    """
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        at += 1
        items = []
        while data[at : at + 1] != b"e":
            if at >= len(data):
                raise ValueError("bencoding ends too early")
            item, at = bdecode(data, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        keys = [key.decode() for key in items[::2]]
        return dict(zip(keys, items[1::2], strict=True)), at + 1
    colon = data.index(b":", at)
    length = int(data[at:colon])
    start = colon + 1
    return data[start : start + length], start + length


def description(port: int, direction: str = "sendrecv") -> str:
    """SDP of one audio stream."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n"
        f"a={direction}\r\n"
    )


class Control:
    """Its control port."""

    def __init__(self) -> None:
        self._socket = udp()
        self._socket.connect((HOST, _CONTROL_PORT))

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask, and take the answer; a no is an error."""
        whole = {key.replace("_", "-"): value for key, value in arguments.items()}
        whole["command"] = name
        self._socket.send(os.urandom(8).hex().encode() + b" " + bencode(whole))
        answer = wait_readable(self._socket)
        fields: dict[str, Any] = bdecode(answer, answer.index(b" ") + 1)[0]
        if fields.get("result") not in (b"ok", b"pong"):
            raise Skipped(f"rtpengine refuses {name}: {fields!r}")
        return fields

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.command("ping"))
        except (OSError, Skipped):
            return False

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def port_of(answer: dict[str, Any]) -> int:
    """The port in the answer's SDP."""
    found = re.search(rb"m=audio (\d+)", answer["sdp"])
    if found is None:
        raise Skipped("rtpengine's answer has no port")
    return int(found.group(1))


def run(load: Load) -> Running:
    """Start it with a call for each source."""
    if shutil.which("rtpengine") is None:
        raise Skipped("rtpengine is not installed (apt-get install rtpengine-daemon)")
    control = Control()
    process = start(_COMMAND, control.ready)
    running = Running(process, leaf(process.pid), fragile=True)
    try:
        for number in range(load.sources):
            source = udp()
            sinks = [udp() for _ in range(load.copies)]
            running.sinks += sinks
            port = _call(control, f"bench-{number}", source, sinks)
            running.flows.append(Flow(source, port, 1000 + number))
    except BaseException:
        running.close()
        raise
    finally:
        control.close()
    return running


def _call(
    control: Control, name: str, source: socket.socket, sinks: list[socket.socket]
) -> int:
    """Set one source up; the port that it sends to."""
    own = source.getsockname()[1]
    if len(sinks) == 1:
        replace = ["origin", "session-connection"]
        common = {
            "call_id": name,
            "from_tag": "a",
            "flags": ["asymmetric"],
            "replace": replace,
            "ICE": "remove",
        }
        control.command("offer", sdp=description(own), **common)
        other = sinks[0].getsockname()[1]
        answer = control.command("answer", to_tag="b", sdp=description(other), **common)
        return port_of(answer)
    published = control.command(
        "publish",
        call_id=name,
        from_tag="a",
        sdp=description(own, "sendonly"),
        ICE="remove",
    )
    for number, sink in enumerate(sinks):
        tag = f"s{number}"
        asked = control.command(
            "subscribe request", call_id=name, from_tag="a", to_tag=tag
        )
        control.command(
            "subscribe answer",
            call_id=name,
            to_tag=asked.get("to-tag", tag.encode()).decode(),
            sdp=description(sink.getsockname()[1], "recvonly"),
        )
    return port_of(published)
