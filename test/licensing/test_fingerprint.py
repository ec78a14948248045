"""Fingerprints: hashes, weights, and how much of them must match."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.fingerprint import (
    COMPONENTS,
    MAX_VALUES,
    bind,
    compare,
    digest,
    fault,
    hash_parts,
    shortcoming,
)

SALT = bytes(range(16))
PARTS = {
    "product-uuid": ("uuid 1",),
    "board-serial": ("board 1",),
    "disk-serial": ("disk 1", "disk 2"),
    "mac-address": ("mac 1",),
    "machine-id": ("id 1",),
    "cpu-model": ("model 1",),
    "cpu-count": ("8",),
    "ram-class": ("16 GiB",),
}
#: Where nobody may look at what is root's.
OPEN_PARTS = {
    name: values
    for name, values in PARTS.items()
    if name not in ("product-uuid", "board-serial")
}


def bound(parts, **choices):
    """A binding to a machine of these parts."""
    return bind(hash_parts(parts, SALT), SALT.hex(), **choices)


class HashTests(SynchronousTestCase):
    """`digest` and `hash_parts`."""

    def test_salted(self):
        """Another salt or another component: another hash."""
        hashes = {
            digest("disk-serial", "X", SALT),
            digest("board-serial", "X", SALT),
            digest("disk-serial", "X", bytes(16)),
            digest("disk-serial", "Y", SALT),
        }
        self.assertEqual(len(hashes), 4)

    def test_pinned(self):
        """The hash of a licence of today is that of every later version."""
        self.assertEqual(
            digest("machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4", SALT),
            "c4c6e4e6445f2af7015960f66b384493926b53a72b3f96f0f8ef98fca514462f",
        )

    def test_order(self):
        """The order in which the system lists devices does not matter."""
        self.assertEqual(
            hash_parts({"disk-serial": ("b", "a", "b")}, SALT),
            hash_parts({"disk-serial": ("a", "b")}, SALT),
        )

    def test_limit(self):
        """Of very many disks some are held."""
        parts = {"disk-serial": tuple(f"disk {n}" for n in range(40))}
        hashes = hash_parts(parts, SALT)
        self.assertEqual(len(hashes["disk-serial"]), MAX_VALUES)
        self.assertTrue(compare(bind(hashes, SALT.hex()), parts, {}).verdict.ok)

    def test_absent(self):
        """A component that the machine lacks is not in the licence."""
        self.assertEqual(hash_parts({"disk-serial": ()}, SALT), {})


class BindTests(SynchronousTestCase):
    """`bind`, `fault` and `shortcoming`."""

    def test_defaults(self):
        """The weights add up to 100, and 60 must match."""
        binding = bound(PARTS)
        self.assertEqual(sum(binding.weights.values()), 100)
        self.assertEqual(binding.threshold, 60)
        self.assertEqual(fault(binding), "")

    def test_roundedUp(self):
        """A share of a point counts as one."""
        self.assertEqual(bound({"cpu-count": ("8",)}, percent=1).threshold, 1)
        self.assertEqual(bound(OPEN_PARTS, percent=61).threshold, 40)

    def test_otherWeights(self):
        """The vendor says what counts; 0 leaves a component out."""
        binding = bound(PARTS, weights={"machine-id": 50, "ram-class": 0}, percent=100)
        self.assertEqual(binding.weights["machine-id"], 50)
        self.assertNotIn("ram-class", binding.hashes)
        self.assertEqual(binding.threshold, 135)

    def test_tellsMachinesApart(self):
        """Usual machines have enough that no other machine has."""
        self.assertEqual(shortcoming(bound(PARTS)), "")
        self.assertEqual(shortcoming(bound(OPEN_PARTS)), "")

    def test_fitsOthers(self):
        """What only has a CPU, RAM and a machine-id fits its copies, too."""
        poor = {
            name: values
            for name, values in PARTS.items()
            if not COMPONENTS[name].telling
        }
        text = shortcoming(bound(poor))
        self.assertIn("MAC address", text)
        self.assertIn("UKey", text)
        self.assertIn("of the same make", shortcoming(bound(PARTS, percent=20)))

    def test_faults(self):
        """A binding that cannot be right is refused with 810, whatever matches."""
        good = bound(OPEN_PARTS)
        for wrong in (
            replace(good, salt="zz"),
            replace(good, salt="00"),
            replace(good, hashes={}),
            replace(good, hashes={}, weights={}),
            replace(good, threshold=0),
            replace(good, threshold=66),
            replace(good, weights={**good.weights, "cpu-count": -1}),
            replace(good, weights={**good.weights, "colour": 5}),
            replace(good, hashes={**good.hashes, "cpu-count": ()}),
            replace(good, hashes={**good.hashes, "cpu-count": ("xyz",)}),
            replace(good, hashes={**good.hashes, "cpu-count": ("0" * 64,) * 65}),
        ):
            found = compare(wrong, OPEN_PARTS, {}).verdict
            self.assertEqual(found.code, ResultCode.CERTFILE_HDSIGFAIL)
            self.assertFalse(found.passing)


class CompareTests(SynchronousTestCase):
    """`compare`."""

    def test_codes(self):
        """Each difference is named by the product's code."""
        for name, code in (
            ("product-uuid", 810),
            ("board-serial", 810),
            ("cpu-count", 811),
            ("ram-class", 813),
            ("mac-address", 814),
            ("cpu-model", 815),
            ("disk-serial", 816),
            ("machine-id", 810),
        ):
            parts = {**PARTS, name: ("another",)}
            whole = compare(bound(PARTS, percent=100), parts, {})
            self.assertEqual(whole.verdict.code, code)
            self.assertEqual([one.code for one in whole.findings if not one.ok], [code])
            self.assertTrue(compare(bound(PARTS), parts, {}).verdict.ok, name)

    def test_heaviestFirst(self):
        """The code of the verdict is that of what counts most."""
        parts = {**PARTS, "cpu-count": ("4",), "mac-address": ("other",)}
        self.assertEqual(compare(bound(PARTS, percent=90), parts, {}).verdict.code, 814)

    def test_atTheLimit(self):
        """What is needed is enough, and one less is not."""
        parts = {**PARTS, "cpu-count": ("4",)}
        self.assertTrue(compare(bound(PARTS, percent=95), parts, {}).verdict.ok)
        self.assertFalse(compare(bound(PARTS, percent=96), parts, {}).verdict.ok)

    def test_reasons(self):
        """Where the machine shows nothing the text says why."""
        absent = {"mac-address": "/sys/class/net shows no hardware"}
        parts = {**PARTS, "mac-address": ()}
        text = compare(bound(PARTS), parts, absent).verdict.text
        self.assertIn(
            "MAC address has no value (/sys/class/net shows no hardware) (814)", text
        )

    def test_nothingAtAll(self):
        """A machine that shows nothing is not the one."""
        whole = compare(bound(PARTS), {}, {})
        self.assertFalse(whole.verdict.ok)
        self.assertEqual(whole.matching, 0)

    @settings(deadline=None, max_examples=40)
    @given(
        st.dictionaries(
            st.sampled_from(sorted(COMPONENTS)),
            st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
        ),
        st.integers(1, 100),
    )
    def test_anyMachine(self, parts, percent):
        """Points stay within bounds, and more parts never match less."""
        binding = bound(PARTS | {"disk-serial": ("a", "b")}, percent=percent)
        less = compare(binding, parts, {})
        more = compare(
            binding,
            {**parts, "disk-serial": (*parts.get("disk-serial", ()), "a")},
            {},
        )
        self.assertTrue(0 <= less.matching <= more.matching <= less.total)
        self.assertEqual(less.verdict.ok, less.matching >= less.needed)
