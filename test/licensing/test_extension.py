"""The JSON of a licence's private extension."""

import json
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing import extension
from anychat.licensing.der import UTF8_STRING, encode_der
from anychat.licensing.extension import decode_grant, encode_grant
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import (
    AddressBinding,
    DomainBinding,
    Grant,
    HardwareBinding,
    UKeyBinding,
)
from test.test_layering import ROOT

HARDWARE = HardwareBinding(
    salt="00112233445566778899aabbccddeeff",
    hashes={"product-uuid": ("ab" * 32,), "disk-serial": ("01" * 32, "02" * 32)},
    weights={"product-uuid": 25, "disk-serial": 20},
    threshold=27,
)
UKEY = UKeyBinding(0x1209, 0x0001, "K-42", "04" + "5a" * 64)
GRANT = Grant(
    customer="示例银行 & Söhne",
    max_users=200,
    features=("distributed", "of-a-later-version"),
    bindings=(
        HARDWARE,
        DomainBinding("video.xn--fiqs8s.example"),
        AddressBinding(("192.0.2.0/24", "2001:db8::1")),
        UKEY,
    ),
    match_all=False,
    versions="6.0",
)


def as_json(grant=GRANT):
    """The members of a grant's extension."""
    return json.loads(re.sub(rb"^[^{]*", b"", encode_grant(grant)))


def as_extension(members):
    """An extension of any JSON or text."""
    text = members if isinstance(members, str) else json.dumps(members)
    return encode_der(UTF8_STRING, text.encode())


class EncodingTests(SynchronousTestCase):
    """What a grant becomes."""

    def test_thereAndBack(self):
        """All of a grant comes back."""
        self.assertEqual(decode_grant(encode_grant(GRANT)), GRANT)

    def test_least(self):
        """So does the shortest."""
        grant = Grant("C", 0)
        self.assertEqual(decode_grant(encode_grant(grant)), grant)

    def test_document(self):
        """docs/licensing.md shows the text as it is."""
        text = (ROOT / "docs" / "licensing.md").read_text(encoding="utf-8")
        [example] = re.findall(r"^```json\n(\{\n \"format.*?)^```", text, re.M | re.S)
        grant = decode_grant(as_extension(example))
        self.assertEqual(grant.customer, "Example Bank")
        self.assertEqual(len(grant.bindings), 4)
        self.assertIn(f"`{extension.OID}`", text)

    def test_readable(self):
        """It is UTF-8 in lines, which openssl shows as they are."""
        data = encode_grant(GRANT)
        self.assertIn(
            '\n "customer": "示例银行 & Söhne",\n "users": 200,\n'.encode(), data
        )

    def test_whatCannotBeRead(self):
        """Nothing is made that the server would refuse, or read as something else."""
        for grant in (
            Grant("", 0),
            Grant("x" * 65, 0),
            Grant("line\nbreak", 0),
            Grant(" C", 0),
            Grant("\udcff", 0),
            Grant("C", -1),
            Grant("C", 10**9),
            Grant("C", 0, ("Upper",)),
            Grant("C", 0, ("a", "a")),
            Grant("C", 0, ["a"]),
            Grant("C", 0, versions="6.x"),
            Grant("C", 0, bindings=(DomainBinding("Upper.example"),)),
            Grant("C", 0, bindings=(AddressBinding(("192.0.2.1/24",)),)),
            Grant("C", 0, bindings=(DomainBinding("a.example"),) * 17),
        ):
            with self.assertRaises(LicenceError):
                encode_grant(grant)


class DecodingTests(SynchronousTestCase):
    """What is refused."""

    def assertRefused(self, data, text, code=ResultCode.CERTFILE_DECODEFAIL):
        """It is refused with this code and text."""
        with self.assertRaises(LicenceError) as caught:
            decode_grant(data)
        self.assertEqual(caught.exception.code, code)
        self.assertIn(text, caught.exception.text)

    def assertMemberRefused(self, name, *values, text=None):
        """None of the values will do for this member of the whole."""
        for value in values:
            self.assertRefused(as_extension(as_json() | {name: value}), text or name)

    def test_noString(self):
        """Something else than a UTF8String, or cut off."""
        data = encode_grant(GRANT)
        for wrong in (b"", b"\x04" + data[1:], data[:-1], data + b" "):
            self.assertRefused(wrong, "no proper JSON")

    def test_tooLong(self):
        """32 KiB are the most."""
        self.assertRefused(as_extension(" " * 32 * 1024), "longer than 32 KiB")

    def test_noJson(self):
        """Texts that are no JSON, and JSON that goes too deep."""
        for text in ("", "{", "nul", "{}x", "[" * 30_000, '{"a":' * 6000):
            self.assertRefused(as_extension(text), "no proper JSON")
        self.assertRefused(encode_der(UTF8_STRING, b'{"a": "\xff"}'), "no proper JSON")

    def test_noSecretsOfTheDecoder(self):
        """The error does not repeat what was read."""
        with self.assertRaises(LicenceError) as caught:
            decode_grant(as_extension('{"customer": "Example Bank'))
        self.assertNotIn("Example", caught.exception.text)

    def test_numbers(self):
        """Whole numbers only, and of a length that is read quickly."""
        for number in ("1.0", "1e3", "NaN", "-Infinity"):
            self.assertRefused(as_extension(f'{{"users": {number}}}'), "not whole")
        self.assertRefused(as_extension('{"users": ' + "9" * 9999 + "}"), "JSON")

    def test_twice(self):
        """A member that is there twice."""
        text = json.dumps(as_json())
        twice = text.replace('"users"', '"users": 5, "users"')
        self.assertRefused(as_extension(twice), "twice")

    def test_members(self):
        """None may be missing, and none may be there that is not known."""
        members = as_json()
        for name in members:
            fewer = {key: value for key, value in members.items() if key != name}
            self.assertRefused(as_extension(fewer), "members")
        self.assertRefused(as_extension(members | {"region": "EU"}), "members")
        for other in ([], "x", 5, None, True):
            self.assertRefused(as_extension(json.dumps(other)), "no object")

    def test_format(self):
        """A later format is not read as if it were this one."""
        self.assertMemberRefused("format", 2, text="format is 2, and this version")
        self.assertMemberRefused("format", True, "1", None, -1)

    def test_typesAndRanges(self):
        """Each member has its type and its range."""
        self.assertMemberRefused("customer", "", 5, None, "x" * 65, "a\0b", " a")
        self.assertMemberRefused("users", -1, "5", True, None, 10_000_001)
        self.assertMemberRefused("features", {}, "a", [1], ["A"], [""], ["a", "a"])
        self.assertMemberRefused("features", [f"f{n}" for n in range(33)])
        self.assertMemberRefused("versions", 6, "6.", "6.0.0.0.0", "v6", "٦", "6\n")
        self.assertMemberRefused("match", "ALL", "", None)
        self.assertMemberRefused("bindings", {}, None, ["x"], text="binding")
        self.assertMemberRefused(
            "bindings", [as_json()["bindings"][1]] * 17, text="bindings"
        )

    def test_unknownBinding(self):
        """A kind of a later version is not left out, which would loosen the licence."""
        self.assertMemberRefused(
            "bindings", [{"type": "tpm"}], [{}], [{"type": []}], text="type"
        )

    def assertBindingRefused(self, index, code, **changes):
        """A binding of `GRANT` with one of these changes is refused with the code."""
        for name, values in changes.items():
            for value in values:
                members = as_json()
                members["bindings"][index][name] = value
                self.assertRefused(as_extension(members), "in its", code)
        members = as_json()
        members["bindings"][index].popitem()
        self.assertRefused(as_extension(members), "members", code)

    def test_hardware(self):
        """A hardware binding that cannot be: 810."""
        self.assertBindingRefused(
            0,
            ResultCode.CERTFILE_HDSIGFAIL,
            salt=("", "00", "zz" * 16, 5),
            hashes=(
                {},
                [],
                {"product-uuid": ["ab" * 32]},
                {"product-uuid": ["ab" * 32], "disk-serial": []},
                {"product-uuid": ["ab" * 32], "disk-serial": ["x"]},
                {"product-uuid": ["ab" * 32], "disk-serial": ["ab" * 33]},
                {"product-uuid": ["ab" * 32], "disk-serial": ["ab" * 32] * 2},
            ),
            weights=(
                {},
                {"product-uuid": 25},
                {"product-uuid": 25, "disk-serial": "20"},
                {"product-uuid": 25, "disk-serial": -20},
            ),
            threshold=(0, -1, 46, "27"),
            more=(1,),
        )

    def test_domain(self):
        """A domain binding that cannot be: 860."""
        self.assertBindingRefused(
            1,
            ResultCode.CERTFILE_DOMAINFAIL,
            name=(
                "",
                "localhost",
                "192.0.2.1",
                "a..example",
                "-a.example",
                "a.example.",
                "示例.example",
                "a.example\n",
                "a" * 64 + ".example",
                ".".join(["abc"] * 64),
                5,
            ),
        )

    def test_address(self):
        """An address binding that cannot be: 862."""
        self.assertBindingRefused(
            2,
            ResultCode.CERTFILE_IPADDRFAIL,
            addresses=(
                [],
                {},
                [5],
                ["192.0.2.256"],
                ["192.0.2.1/24"],
                ["192.0.2.0/33"],
                ["2001:DB8::1"],
                ["fe80::1%eth0"],
                ["192.0.2.1"] * 2,
                ["host.example"],
                [f"192.0.2.{number}" for number in range(65)],
            ),
        )

    def test_ukey(self):
        """A UKey binding that cannot be: 861."""
        self.assertBindingRefused(
            3,
            ResultCode.CERTFILE_UKEYFAIL,
            vendor=(-1, 0x10000, "1209", True),
            product=(-1, 0x10000, None),
            serial=("", "x" * 127, "\x1b[2J", 42),
            public_key=("", "04", "03" + "5a" * 32, "04" + "5A" * 64, 5),
        )


_TOKENS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
_HASHES = st.lists(
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    min_size=1,
    max_size=4,
    unique=True,
).map(tuple)


@st.composite
def _hardware(draw):
    hashes = draw(st.dictionaries(_TOKENS, _HASHES, min_size=1, max_size=4))
    weights = {name: draw(st.integers(1, 1000)) for name in hashes}
    threshold = draw(st.integers(1, sum(weights.values())))
    salt = draw(st.binary(min_size=16, max_size=16))
    return HardwareBinding(salt.hex(), hashes, weights, threshold)


_ADDRESSES = st.ip_addresses().map(str).filter(lambda text: "%" not in text)
_BINDINGS = st.one_of(
    _hardware(),
    st.from_regex(r"[a-z0-9]{1,9}(\.[a-z]{1,9}){1,3}", fullmatch=True).map(
        DomainBinding
    ),
    st.lists(_ADDRESSES, min_size=1, max_size=4, unique=True).map(
        lambda addresses: AddressBinding(tuple(addresses))
    ),
    st.builds(
        UKeyBinding,
        vendor=st.integers(0, 0xFFFF),
        product=st.integers(0, 0xFFFF),
        serial=st.text("0123456789ABCDEF-é", min_size=1, max_size=126),
        public_key=st.binary(min_size=64, max_size=64).map(lambda at: "04" + at.hex()),
    ),
)
_GRANTS = st.builds(
    Grant,
    customer=st.text("aé示 \"'\\{}", min_size=1, max_size=64).map(
        lambda name: name.strip() or "C"
    ),
    max_users=st.integers(0, extension.MOST_USERS),
    features=st.lists(_TOKENS, max_size=4, unique=True).map(tuple),
    bindings=st.lists(_BINDINGS, max_size=4).map(tuple),
    match_all=st.booleans(),
    versions=st.sampled_from(("", "6", "6.0", "6.0.12345.1")),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=9,
)


class FuzzTests(SynchronousTestCase):
    """Anything is read, or refused with a code."""

    @settings(deadline=None, max_examples=50)
    @given(_GRANTS)
    def test_anyGrant(self, grant):
        """Any grant comes back."""
        self.assertEqual(decode_grant(encode_grant(grant)), grant)

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_anyBytes(self, data):
        """Bytes in the place of the text, and of all of it."""
        for each in (data, encode_der(UTF8_STRING, data)):
            with self.assertRaises(LicenceError):
                decode_grant(each)

    @settings(deadline=None)
    @given(_JSON, st.data())
    def test_anyJson(self, value, data):
        """Any value in the place of any other."""
        members = as_json(replace(GRANT, customer="C"))
        places = [(members, key) for key in members]
        for binding in members["bindings"]:
            places += [(binding, key) for key in binding]
        holder, key = data.draw(st.sampled_from(places))
        holder[key] = value
        try:
            decode_grant(as_extension(members))
        except LicenceError as error:
            self.assertIn(error.code, (802, 810, 860, 861, 862))
