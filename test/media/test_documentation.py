"""``docs/wire/media.md`` says what the code does: its tables and examples."""

import importlib
import re
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from anychat.codecs import CODECS
from anychat.codes import StreamKind
from anychat.media.demux import classify
from anychat.media.packetize import audio, h264
from anychat.media.stun import MessageClass
from test.media.samples import KEY, LEG_SSRC, MEDIA_SSRC, SALT, VALID

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "wire" / "media.md"


def rows(text, head):
    """Cells of the table whose head begins like that, the head left out."""
    table = re.search(rf"^\| {re.escape(head)} .*\n((?:\|.*\n)+)", text, re.MULTILINE)[
        1
    ]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()[1:]
    ]


class DocumentationTests(SynchronousTestCase):
    """The page is read and compared."""

    def setUp(self):
        """Read the page and its examples."""
        self.text = PAGE.read_text(encoding="utf-8")
        self.examples = {
            name: bytes.fromhex(re.sub(r";.*", "", block))
            for name, block in re.findall(
                r"^```hex (\S+)\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL
            )
        }

    def test_demux(self):
        """Each first and second byte is the kind that the table says."""
        seen = set()
        for firsts, seconds, kind in rows(self.text, "first byte"):
            second_range = (
                (0, 255) if seconds == "any" else tuple(map(int, seconds.split("-")))
            )
            for part in firsts.split(", "):
                low, high = map(int, part.split("-"))
                for first in range(low, high + 1):
                    for second in range(second_range[0], second_range[1] + 1):
                        self.assertEqual(classify(bytes((first, second))).name, kind)
                        seen.add((first, second))
        self.assertEqual(len(seen), 65536)

    def test_packets(self):
        """The packets are those that we build and read."""
        names = {name for name in self.examples if name in VALID}
        self.assertEqual(
            names,
            {
                "stun-request",
                "stun-success-ipv4",
                "stun-success-bound",
                "rtp-video",
                "rtp-audio",
                "srtp-video",
                "srtp-audio",
                "rtcp-sender",
                "rtcp-receiver",
                "rtcp-feedback",
                "rtcp-signals",
                "srtcp-receiver",
            },
        )
        for name in names:
            self.assertEqual(self.examples[name].hex(), VALID[name].hex(), name)

    def test_messageTypes(self):
        """The STUN types are the classes of the method Binding."""
        types = rows(self.text, "type | message")
        kinds = {name.split()[0]: int(number, 16) for number, name in types}
        self.assertEqual(
            kinds, {kind.name.lower(): kind | 0x0001 for kind in MessageClass}
        )

    def test_payloadTypes(self):
        """The payload types are those of the codec table."""
        expected = []
        for codec in CODECS:
            kind = "video" if codec.kind is StreamKind.VIDEO else "audio"
            clock = (
                str(codec.clock_rate)
                if len(codec.clock_rates) == 1
                else "the sample rate"
            )
            expected.append(
                [
                    str(codec.payload_type),
                    codec.encoding,
                    clock,
                    f"{kind} {codec.number:d}",
                ]
            )
        self.assertEqual(rows(self.text, "payload type"), expected)

    def test_packetization(self):
        """The payloads are those that the packetizers make and take."""
        sets = [bytes.fromhex("6742c00d"), bytes.fromhex("68ce3c80")]
        idr = b"\x65" + bytes(range(1, 24))
        self.assertEqual(
            h264.packetize(h264.join(sets), 100), [self.examples["h264-stap-a"]]
        )
        fragments = [self.examples[f"h264-fu-a-{number}"] for number in (1, 2, 3)]
        self.assertEqual(h264.packetize(h264.join([idr]), 12), fragments)
        self.assertEqual(
            h264.depacketize([self.examples["h264-stap-a"], *fragments]), [*sets, idr]
        )
        unit = bytes.fromhex("21100504")
        self.assertEqual(audio.pack_aac(unit, 100), self.examples["aac"])
        self.assertEqual(audio.unpack_aac(self.examples["aac"]), [unit])
        self.assertEqual(
            audio.unpack_amr_wb(self.examples["amr-wb"]), [b"\x4c\1\2\3\4\5"]
        )

    def test_speechSizes(self):
        """A frame of each type has the size that the table says."""
        for types, size in rows(self.text, "frame type"):
            for number in map(int, re.findall(r"(?:^|, )(\d+) ", types)):
                payload = bytes((0xF0, number << 3 | 4)) + bytes(int(size))
                self.assertEqual(len(audio.unpack_amr_wb(payload)), 1)

    def test_sessionKeys(self):
        """The values follow from the text, by another way than our code's."""
        labels = rows(self.text, "label | value")
        values = {int(label): value for label, value in labels}
        for label, value in values.items():
            block = bytearray(SALT + bytes(4))
            block[7] ^= label
            cipher = Cipher(algorithms.AES(KEY), modes.CTR(bytes(block))).encryptor()
            length = len(value) // 2
            self.assertEqual(cipher.update(bytes(length)).hex(), value)
        self.assertEqual(set(values), {0, 2, 3, 5})

    def test_protection(self):
        """The protected packets follow from the text: nonce, data and key."""
        key, salt, rtcp_key, rtcp_salt = (
            bytes.fromhex(value) for _, value in rows(self.text, "label | value")
        )
        nonces = [
            bytes.fromhex(nonce)
            for nonce in re.findall(r"nonce\s+`(\w{24})`", self.text)
        ]
        places = [
            (salt, MEDIA_SSRC, 0, 258),
            (salt, MEDIA_SSRC, 5, 7),
            (rtcp_salt, LEG_SSRC, 0, 300),
        ]
        for nonce, (session_salt, ssrc, turn, number) in zip(
            nonces, places, strict=True
        ):
            plain = bytes(2) + ssrc.to_bytes(4, "big") + turn.to_bytes(4, "big")
            plain += number.to_bytes(2, "big")
            masked = bytes(a ^ b for a, b in zip(plain, session_salt, strict=True))
            self.assertEqual(nonce, masked)
        for name, nonce, start in (("video", nonces[0], 20), ("audio", nonces[1], 12)):
            data = self.examples[f"srtp-{name}"]
            opened = AESGCM(key).decrypt(nonce, data[start:], data[:start])
            self.assertEqual(data[:start] + opened, self.examples[f"rtp-{name}"])
        data = self.examples["srtcp-receiver"]
        opened = AESGCM(rtcp_key).decrypt(nonces[2], data[8:-4], data[:8] + data[-4:])
        self.assertEqual(data[:8] + opened, self.examples["rtcp-receiver"])

    def test_limits(self):
        """The limits are the constants they are said to be."""
        limits = rows(self.text, "limit")
        self.assertEqual(len(limits), 16)
        for _, name, value in limits:
            module, constant = name.strip("`").split(".")
            found = getattr(
                importlib.import_module(f"anychat.media.{module}"), constant
            )
            self.assertEqual(found, int(value), name)

    def test_everyExampleIsKnown(self):
        """No example goes untested."""
        others = {name for name in self.examples if name not in VALID}
        self.assertEqual(
            others,
            {
                "h264-stap-a",
                "h264-fu-a-1",
                "h264-fu-a-2",
                "h264-fu-a-3",
                "opus",
                "aac",
                "amr-wb",
                # In test/protocols/test_control.py.
                "control-report",
            },
        )
