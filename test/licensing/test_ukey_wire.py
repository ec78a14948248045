"""What a UKey is asked and answers, byte by byte; the page's examples."""

import contextlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.licensing.ukey_wire import (
    FROM_KEY,
    NONCE_SIZE,
    PREFIX,
    TO_KEY,
    VERSION,
    Info,
    Request,
    State,
    build_info,
    parse_info,
    parse_languages,
    parse_state,
    parse_string,
    read_point,
    verifies,
)
from test.test_layering import ROOT

PAGE = (ROOT / "docs/wire/ukey.md").read_text(encoding="utf-8")


def example(name: str) -> bytes:
    """The bytes of an example of the page."""
    block = re.search(rf"^```\n{name}\n(.*?)^```", PAGE, re.M | re.S)[1]
    return bytes.fromhex(block)


class PageTests(SynchronousTestCase):
    """``docs/wire/ukey.md`` says what the code does."""

    def test_requests(self):
        """The table of requests is the code's."""
        rows = re.findall(r"^\| (0x\w\w) \| (\d) \| (\w+) \|", PAGE, re.M)
        directions = dict.fromkeys(Request, FROM_KEY)
        directions[Request.CHALLENGE] = TO_KEY
        self.assertEqual(
            [(int(kind, 16), int(number), name) for kind, number, name in rows],
            [(directions[r], r.value, r.name) for r in Request],
        )

    def test_states(self):
        """The table of states is the code's."""
        rows = re.findall(r"^\| (\d) \| ([A-Z]+) \|", PAGE, re.M)
        self.assertEqual(
            [(int(number), name) for number, name in rows],
            [(state.value, state.name) for state in State],
        )

    def test_info(self):
        """The example of INFO is what a key answers."""
        self.assertEqual(example("INFO"), build_info(Info(VERSION, has_pair=True)))

    def test_signature(self):
        """The example's signature is its key's over what the page says is signed."""
        self.assertEqual(example("signed"), PREFIX + example("nonce"))
        self.assertEqual(len(example("nonce")), NONCE_SIZE)
        key = read_point(example("public key"))
        self.assertTrue(verifies(key, example("nonce"), example("signature")))
        self.assertFalse(verifies(key, bytes(NONCE_SIZE), example("signature")))


class ParserTests(SynchronousTestCase):
    """Whatever a device answers is understood or refused with 830."""

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_anything(self, data):
        """Nothing but `PeerError` comes of it."""
        key = read_point(example("public key"))
        for parse in (
            parse_info,
            parse_state,
            parse_string,
            parse_languages,
            lambda data: verifies(key, bytes(32), data),
        ):
            try:
                parse(data)
            except PeerError as error:
                self.assertEqual(error.code, ResultCode.CERTFILE_UKEYSIGFAIL)

    @settings(deadline=None)
    @given(st.binary(min_size=64, max_size=64))
    def test_anySignature(self, data):
        """No 64 bytes that somebody makes up are a signature."""
        key = read_point(example("public key"))
        with contextlib.suppress(PeerError):
            self.assertFalse(verifies(key, bytes(32), data))

    def test_infoTruncated(self):
        """An answer that breaks off, or goes on, is none."""
        right = build_info(Info(VERSION, has_pair=True))
        self.assertEqual(parse_info(right), Info(VERSION, has_pair=True))
        for wrong in (right[:-1], right + b"\0"):
            self.assertRaises(PeerError, parse_info, wrong)

    def test_laterFlags(self):
        """Flags of later versions are passed over."""
        self.assertEqual(
            parse_info(b"ACUK\x01\xff\xff\xff"), Info(VERSION, has_pair=True)
        )
        self.assertEqual(
            parse_info(b"ACUK\x01\xfe\x00\x00"), Info(VERSION, has_pair=False)
        )

    def test_point(self):
        """A public key is an uncompressed point of P-256 and nothing else."""
        right = example("public key")
        for wrong in (
            b"",
            right[:-1],
            right + b"\0",
            b"\x02" + right[1:33],
            b"\x04" + bytes(64),
            right[:-1] + bytes([right[-1] ^ 1]),
        ):
            self.assertRaises(ValueError, read_point, wrong)
