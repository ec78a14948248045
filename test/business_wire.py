"""A business server written from docs/business.md, part "The wire", alone.

It shares nothing with the project's own ends, nor with Twisted's AMP: what the
page says is enough.  `Dialogue` turns bytes into what they mean and back;
`SocketServer` puts it on a blocking socket, plain or TLS.
"""

import hashlib
import hmac
import select
import socket
import struct
import time

from OpenSSL import SSL

NUMBERS = {
    "version", "handled", "heartbeat", "timeout", "answer_timeout", "lost", "number",
    "code", "user_id", "level", "room_id", "source_id", "target_id", "message", "error",
    "server_id", "count",
}  # fmt: skip
FLAGS = {"proof_required", "secret", "final", "more"}
TEXTS = {"name", "ip", "text", "room_name", "password", "server_version", "build_time"}
QUESTIONS = {"VerifyUser", "PrepareEnterRoom"}


def pack(pairs):
    """A box: what each key and value is made of says how it is written."""
    parts = []
    for key, value in pairs.items():
        if isinstance(value, bool):
            value = b"True" if value else b"False"
        elif isinstance(value, int):
            value = str(value).encode("ascii")
        elif isinstance(value, str):
            value = value.encode("utf-8")
        key = key.encode("ascii")
        parts.append(struct.pack(">H", len(key)) + key)
        parts.append(struct.pack(">H", len(value)) + value)
    return b"".join(parts) + b"\x00\x00"


def unpack(data):
    """The boxes that are whole, and the bytes after them."""
    boxes, start = [], 0
    while True:
        at, strings = start, []
        while True:
            if at + 2 > len(data):
                return boxes, data[start:]
            (size,) = struct.unpack_from(">H", data, at)
            if size == 0 and len(strings) % 2 == 0:
                break
            if at + 2 + size > len(data):
                return boxes, data[start:]
            strings.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        keys = [key.decode("ascii") for key in strings[::2]]
        boxes.append(dict(zip(keys, strings[1::2], strict=True)))
        start = at + 2


def ids(value):
    """A value of the type `ids`."""
    found, at = [], 0
    while at < len(value):
        (size,) = struct.unpack_from(">H", value, at)
        found.append(int(value[at + 2 : at + 2 + size]))
        at += 2 + size
    return found


def meaning(box):
    """The values of a box by name, as the page's types have it."""
    found = {}
    for key, value in box.items():
        if key in NUMBERS:
            found[key] = int(value)
        elif key in FLAGS:
            found[key] = {b"True": True, b"False": False}[value]
        elif key in TEXTS:
            found[key] = value.decode("utf-8")
        elif key == "ids":
            found[key] = ids(value)
        elif key == "users":
            presences, rest = unpack(value)
            assert not rest
            found[key] = [meaning(presence) for presence in presences]
        elif not key.startswith("_"):
            found[key] = value
    return found


def proof(password, salt, nonce, core_nonce, binding):
    """What `Begin` needs."""
    key = hashlib.scrypt(password.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)
    return hmac.new(key, nonce + core_nonce + binding, hashlib.sha256).digest()


class RefusedError(Exception):
    """The core refused; ``code`` is the number that its text begins with."""

    def __init__(self, text):
        super().__init__(text)
        self.code = int(text.split(" ")[0])


class Dialogue:
    """One connection's worth of a business server.

    :ivar to_send: bytes for the core.
    :ivar events: (name, values) of what was told, in order.
    :ivar questions: (tag, name, values) of what waits for `answer`.
    :ivar told: (name, values) of other commands without an answer.
    :ivar answers: by tag: values, or `RefusedError`.
    """

    def __init__(
        self,
        name="raw",
        *,
        password="",
        verdicts=("VerifyUser", "PrepareEnterRoom"),
        events=("*",),
        epoch=b"",
        handled=0,
        binding=lambda: b"",
        nonce=b"c" * 16,
    ):
        self.to_send = b""
        self.events, self.questions, self.told = [], [], []
        self.answers = {}
        self.begun = False
        self.lost = None
        self.core = {}
        self._password, self._binding, self._nonce = password, binding, nonce
        self._rest = b""
        self._tags = 0
        self._hello = self.call(
            "Hello",
            version=1,
            name=name,
            agent="raw/1",
            nonce=nonce,
            verdicts=",".join(verdicts),
            events=",".join(events),
            epoch=epoch,
            handled=handled,
        )
        self._begin = None

    def call(self, command, **values):
        """Send a command that wants an answer; its tag."""
        self._tags += 1
        tag = f"t{self._tags}"
        self.to_send += pack({"_command": command, "_ask": tag, **values})
        return tag

    def tell(self, command, **values):
        """Send a command that wants none."""
        self.to_send += pack({"_command": command, **values})

    def answer(self, tag, **values):
        """Answer a question."""
        self.to_send += pack({"_answer": tag, **values})

    def refuse(self, tag, text):
        """Refuse a question."""
        self.to_send += pack(
            {"_error": tag, "_error_code": "REFUSED", "_error_description": text}
        )

    def acknowledge(self):
        """All that has come is done with."""
        self.tell("Acknowledge", number=self.events[-1][1]["number"])

    def receive(self, data):
        """Take what the core sent."""
        boxes, self._rest = unpack(self._rest + data)
        for box in boxes:
            values = meaning(box)
            if "_answer" in box:
                self._answered(box["_answer"].decode(), values)
            elif "_error" in box:
                assert box["_error_code"] == b"REFUSED", box
                text = box["_error_description"].decode("utf-8")
                self.answers[box["_error"].decode()] = RefusedError(text)
            else:
                self._asked(box["_command"].decode(), box.get("_ask"), values)

    def _answered(self, tag, values):
        self.answers[tag] = values
        if tag == self._hello:
            self.core = values
            given = b""
            if values["proof_required"]:
                given = proof(
                    self._password,
                    values["salt"],
                    self._nonce,
                    values["nonce"],
                    self._binding(),
                )
            self._begin = self.call("Begin", proof=given)
        elif tag == self._begin:
            self.begun = True
            self.lost = values["lost"]

    def _asked(self, name, tag, values):
        if name == "Heartbeat":
            self.answer(tag)
        elif "number" in values:
            numbers = [event["number"] for _, event in self.events]
            assert not numbers or values["number"] > numbers[-1], numbers
            self.events.append((name, values))
        elif name in QUESTIONS:
            self.questions.append((tag, name, values))
        elif tag is None:
            self.told.append((name, values))
        else:
            self.refuse(tag, "20 FUNCNOTALLOW: function not permitted")


class SocketServer:
    """A `Dialogue` on a blocking socket.

    :param tls: whether to begin with TLS; the certificate is not looked at.
    """

    def __init__(self, host, port, *, tls=False, **dialogue):
        self.socket = socket.create_connection((host, port), timeout=10)
        self._tls = None
        if tls:
            self._tls = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
            self._tls.set_connect_state()
        self.ended = False
        self.dialogue = Dialogue(binding=self._binding, **dialogue)

    def _binding(self):
        if self._tls is None:
            return b""
        return self._tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")

    def until(self, done, seconds=10.0):
        """Talk until ``done(dialogue)`` or the end; what that came to."""
        deadline = time.monotonic() + seconds
        while not done(self.dialogue):
            self.flush()
            ready, _, _ = select.select(
                [self.socket], [], [], max(0.0, deadline - time.monotonic())
            )
            if not ready:
                raise TimeoutError("the core says nothing")
            data = self.socket.recv(65536)
            if data:
                self._take(data)
            else:
                self.ended = True
            if self.ended:
                return done(self.dialogue)
        self.flush()
        return done(self.dialogue)

    def flush(self):
        """Send what waits."""
        if self._tls is None:
            waiting, self.dialogue.to_send = self.dialogue.to_send, b""
            self.socket.sendall(waiting)
            return
        if self._shake_hands() and self.dialogue.to_send:
            waiting, self.dialogue.to_send = self.dialogue.to_send, b""
            self._tls.sendall(waiting)
        self._push()

    def _take(self, data):
        if self._tls is None:
            self.dialogue.receive(data)
            return
        self._tls.bio_write(data)
        if self._shake_hands():
            try:
                while True:
                    self.dialogue.receive(self._tls.recv(65536))
            except SSL.WantReadError:
                pass
            except SSL.ZeroReturnError:
                self.ended = True
        self._push()

    def _shake_hands(self):
        """Whether the handshake is through."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def _push(self):
        try:
            while True:
                self.socket.sendall(self._tls.bio_read(65536))
        except SSL.WantReadError:
            pass

    def close(self):
        """End the connection."""
        self.socket.close()
