"""Request files: what a customer sends, read by somebody who trusts nothing."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.findings import LicenceError
from anychat.licensing.request import MAX_SIZE, Request, read_request, write_request

REQUEST = Request(
    "6.0.0",
    "2026-11-20T14:00:00Z",
    "virtual machine",
    "00112233445566778899aabbccddeeff",
    {"disk-serial": ("a" * 64, "b" * 64), "cpu-count": ("c" * 64,)},
    {"product-uuid": "there is no /sys/class/dmi/id/product_uuid"},
)
CONTENT = json.loads(write_request(REQUEST))


class RequestTests(SynchronousTestCase):
    """`write_request` and `read_request`."""

    def assertRefused(self, data: bytes, text: str = "") -> None:
        """It is refused with 810, and the text says why."""
        with self.assertRaises(LicenceError) as caught:
            read_request(data)
        self.assertEqual(caught.exception.code, 810)
        self.assertIn(text, caught.exception.text)

    def assertContentRefused(self, text: str = "", **members: object) -> None:
        """The same for a good request in which members are others."""
        self.assertRefused(json.dumps(CONTENT | members).encode(), text)

    def test_roundTrip(self):
        """What is written is read."""
        self.assertEqual(read_request(write_request(REQUEST).encode()), REQUEST)

    def test_editorsMark(self):
        """A byte order mark, as some editors write one, is no harm."""
        data = b"\xef\xbb\xbf" + write_request(REQUEST).encode()
        self.assertEqual(read_request(data), REQUEST)

    def test_requestTruncated(self):
        """Every beginning of a request is refused."""
        data = write_request(REQUEST).encode().rstrip()
        for length in range(0, len(data), 7):
            self.assertRefused(data[:length])

    def test_requestTooLong(self):
        """What is too large is not looked at."""
        self.assertRefused(b" " * (MAX_SIZE + 1), "larger")

    def test_notJson(self):
        """Text that is no JSON, deep nesting, numbers without end, UTF-16."""
        for data in (
            b"hello",
            b"[" * MAX_SIZE,
            b"9" * MAX_SIZE,
            write_request(REQUEST).encode("utf-16"),
            b'{"format": 1, "format": 1}',
        ):
            self.assertRefused(data, "not JSON")

    def test_otherFiles(self):
        """JSON of another kind, and of a later version, is named as such."""
        self.assertRefused(b"[]", "format")
        self.assertRefused(b"9", "format")
        self.assertContentRefused("format", format="other")
        self.assertContentRefused("version", version=2)
        self.assertContentRefused("version", version=True)

    def test_members(self):
        """Missing, unknown and wrong members are refused."""
        self.assertContentRefused("unknown", more=1)
        less = {name: value for name, value in CONTENT.items() if name != "absent"}
        self.assertRefused(json.dumps(less).encode(), "missing")
        for name, value in (
            ("product", "\x1b[2J"),
            ("product", 6),
            ("created", "yesterday"),
            ("surroundings", "cloud"),
            ("salt", "00"),
            ("hashes", {}),
            ("hashes", []),
            ("hashes", {"colour": ["a" * 64]}),
            ("hashes", {"cpu-count": []}),
            ("hashes", {"cpu-count": "a" * 64}),
            ("hashes", {"cpu-count": ["a" * 63]}),
            ("hashes", {"cpu-count": [{}]}),
            ("hashes", {"cpu-count": ["a" * 64, "a" * 64]}),
            ("hashes", {"cpu-count": [f"{n:064x}" for n in range(17)]}),
            ("absent", {"colour": "red"}),
            ("absent", {"cpu-count": 1}),
            ("absent", {"cpu-count": "\x1b[2J"}),
            ("absent", {"cpu-count": "x" * 257}),
        ):
            self.assertContentRefused(**{name: value})

    @settings(deadline=None, max_examples=150)
    @given(st.binary(max_size=200))
    def test_anyBytes(self, data):
        """Whatever comes is refused, and with no other error."""
        self.assertRefused(data)

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from(sorted(CONTENT)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=70),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=12), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
    def test_anyMember(self, name, value):
        """A member of any value gives a request or a refusal."""
        try:
            request = read_request(json.dumps(CONTENT | {name: value}).encode())
        except LicenceError:
            return
        self.assertEqual(read_request(write_request(request).encode()), request)
