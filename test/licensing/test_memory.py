"""The content of the state file."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.judge import Memory
from anychat.licensing.memory import MAX_STATE, Forged, decode_memory, encode_memory
from test.licensing.cases import DAY, LICENCE, NOW

MEMORY = Memory(LICENCE.digest, NOW, NOW + 9 * DAY, NOW - DAY, NOW - DAY / 2, None)
MACHINE = "0123456789abcdef0123456789abcdef"


class MemoryTests(SynchronousTestCase):
    """`encode_memory` and `decode_memory`."""

    def setUp(self):
        self.data = encode_memory(MEMORY, MACHINE)

    def decoded(self, data, digest=LICENCE.digest, machine=MACHINE):
        """What the server makes of a state file."""
        return decode_memory(data, digest, machine)

    def test_thereAndBack(self):
        """What was kept comes back, to the second."""
        self.assertEqual(self.decoded(self.data), MEMORY)
        nothing = Memory(LICENCE.digest)
        self.assertEqual(self.decoded(encode_memory(nothing, MACHINE)), nothing)

    def test_another(self):
        """What is about another licence or machine is nobody's."""
        self.assertIsNone(self.decoded(self.data, digest="22" * 32))
        self.assertIsNone(self.decoded(self.data, machine="another"))

    def test_later(self):
        """An update that is taken back finds nothing wrong, and starts anew."""
        content = json.loads(self.data) | {"version": 2, "more": []}
        self.assertIsNone(self.decoded(json.dumps(content).encode()))

    def test_secret(self):
        """The machine's id does not stand in it."""
        self.assertNotIn(MACHINE.encode(), self.data)

    def test_altered(self):
        """Whoever alters a time is found out."""
        for name, value in (
            ("clock", 1_700_000_000),
            ("good", None),
            ("leap", None),
            ("failing", None),
            ("back", 5),
            ("version", 0),
            ("mac", "00" * 32),
            ("mac", 7),
            ("mac", None),
            ("mac", "\u00e9"),
        ):
            content = json.loads(self.data) | {name: value}
            self.assertRaises(Forged, self.decoded, json.dumps(content).encode())

    def test_incomplete(self):
        """What lacks something is not ours."""
        for name in ("clock", "leap", "good", "failing", "back", "mac", "version"):
            content = json.loads(self.data)
            del content[name]
            self.assertRaises(Forged, self.decoded, json.dumps(content).encode())

    def test_truncated(self):
        """A file that was cut off was not written by us: we write it whole."""
        for length in range(0, len(self.data) - 1, 7):
            self.assertRaises(Forged, self.decoded, self.data[:length])

    def test_tooLong(self):
        """A file that is too long is not looked at."""
        self.assertRaises(Forged, self.decoded, self.data + b" " * MAX_STATE)

    @settings(deadline=None, max_examples=100)
    @given(
        st.binary(max_size=200)
        | st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda some: (
                st.lists(some, max_size=3)
                | st.dictionaries(st.text(max_size=9), some, max_size=3)
            ),
            max_leaves=9,
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_anything(self, data):
        """Whatever the file holds, it is taken, of another, or forged."""
        with contextlib.suppress(Forged):
            self.decoded(data)

    def test_deep(self):
        """A thousand brackets are no trouble."""
        self.assertRaises(Forged, self.decoded, b"[" * 4000)
