"""The private extension of a licence: a JSON text in a DER UTF8String.

JSON, so that ``openssl x509 -text`` shows what a licence says; strict, because
what this version does not understand may be a restriction: an unknown member,
another type or a number out of range makes the licence invalid, as an unknown
critical extension does.  docs/licensing.md is its specification.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from anychat.codes import ResultCode
from anychat.licensing.der import UTF8_STRING, decode_der, encode_der
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    Grant,
    HardwareBinding,
    UKeyBinding,
)

#: Of the project: 2.25 and a UUID as a whole number (ITU-T X.667) need nobody's
#: leave.  Below it: .1 is the licence.
ARC = "2.25.713607728669354682167118062150450039"
OID = ARC + ".1"

#: The first member of the JSON text; another number is another format.
FORMAT = 1

#: Bytes of the extension.
LONGEST = 32 * 1024
#: As the organizationName of RFC 5280 appendix A.1, where it stands as well.
LONGEST_CUSTOMER = 64
MOST_USERS = 10_000_000
MOST_FEATURES = 32
MOST_BINDINGS = 16
MOST_ADDRESSES = 64
MOST_COMPONENTS = 16
MOST_HASHES = 64
MOST_WEIGHT = 1000

#: The name of a function, or of a part of a machine.
FEATURE = re.compile(r"[a-z][a-z0-9-]{0,31}")
VERSIONS = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}", re.ASCII)
_SALT = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{16,64}")
_POINT = re.compile(r"04[0-9a-f]{128}")
#: RFC 1123 section 2.1; two labels at least, for "localhost" says nothing.
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)

_Kind = TypeVar("_Kind")


class _Malformed(ValueError):
    """A member of the JSON text is not as it must be."""


def encode_grant(grant: Grant) -> bytes:
    """The extension of a licence that says this.

    :raises LicenceError: it could not be read again, such as a name too long.
    """
    members = {
        "format": FORMAT,
        "customer": grant.customer,
        "users": grant.max_users,
        "features": list(grant.features),
        "versions": grant.versions,
        "match": "all" if grant.match_all else "any",
        "bindings": [_WRITERS[type(binding)](binding) for binding in grant.bindings],
    }
    text = json.dumps(members, ensure_ascii=False, indent=1)
    try:
        extension = encode_der(UTF8_STRING, text.encode())
    except UnicodeEncodeError:
        # A lone surrogate: what the terminal sent was no text.
        raise LicenceError(
            ResultCode.CERTFILE_DECODEFAIL, "the licence would hold no proper text"
        ) from None
    if decode_grant(extension) != grant:
        raise LicenceError(
            ResultCode.CERTFILE_DECODEFAIL,
            "the licence would not say what it should; names in small letters, "
            "addresses and networks in their usual form",
        )
    return extension


def decode_grant(extension: bytes) -> Grant:
    """What the extension of a licence says.

    :raises LicenceError: 802, or for a binding 810, 860, 861 or 862.
    """
    if len(extension) > LONGEST:
        _fail("its extension is longer than 32 KiB")
    try:
        members = json.loads(
            decode_der(UTF8_STRING, extension).decode(),
            object_pairs_hook=_once,
            parse_constant=_no_number,
            parse_float=_no_number,
        )
    except (ValueError, RecursionError) as error:
        # The decoder's own texts quote the input, some of them all of it.
        cause = f": {error}" if isinstance(error, _Malformed) else ""
        _fail(f"its extension holds no proper JSON{cause}")
    try:
        return _grant(members)
    except _Malformed as error:
        _fail(f"in its extension, {error}")


def is_name(text: str) -> bool:
    """Whether a customer can be called so."""
    known = text.isprintable() and text == text.strip()
    return known and 1 <= len(text) <= LONGEST_CUSTOMER


def is_host(text: str) -> bool:
    """Whether a licence can be bound to this name; an address is none."""
    return bool(_HOST.fullmatch(text)) and not text.rpartition(".")[2].isdigit()


def _fail(text: str) -> NoReturn:
    raise LicenceError(
        ResultCode.CERTFILE_DECODEFAIL, f"the licence is invalid: {text}"
    )


def _grant(members: Any) -> Grant:
    _keys(
        members,
        "the whole",
        "format customer users features versions match bindings",
    )
    number = _whole(members, "format", 0, 2**31)
    if number != FORMAT:
        raise _Malformed(f"format is {number}, and this version reads {FORMAT}")
    customer = _text(members, "customer", LONGEST_CUSTOMER)
    if not is_name(customer):
        raise _Malformed("customer is no name")
    versions = _text(members, "versions", 32, least=0)
    if versions and not VERSIONS.fullmatch(versions):
        raise _Malformed("versions is no number of a version")
    match = _text(members, "match", 3)
    if match not in ("all", "any"):
        raise _Malformed("match is neither all nor any")
    return Grant(
        customer=customer,
        max_users=_whole(members, "users", 0, MOST_USERS),
        features=_texts(members, "features", FEATURE, MOST_FEATURES),
        bindings=tuple(
            _binding(binding) for binding in _list(members, "bindings", MOST_BINDINGS)
        ),
        match_all=match == "all",
        versions=versions,
    )


def _binding(members: Any) -> Binding:
    if type(members) is not dict:
        raise _Malformed("a binding is no object")
    kind = _text(members, "type", 32)
    if kind not in _READERS:
        raise _Malformed("a binding has a type that this version does not know")
    read, code = _READERS[kind]
    try:
        return read(members)
    except _Malformed as error:
        raise LicenceError(
            code, f"the licence is invalid: in its {kind} binding, {error}"
        ) from None


def _read_hardware(members: Mapping[str, Any]) -> HardwareBinding:
    _keys(members, "it", "type salt hashes weights threshold")
    hashes, weights = members["hashes"], members["weights"]
    if type(hashes) is not dict or not 1 <= len(hashes) <= MOST_COMPONENTS:
        raise _Malformed(f"hashes is no object of 1 to {MOST_COMPONENTS} members")
    if type(weights) is not dict or set(weights) != set(hashes):
        raise _Malformed("weights is no object with the members of hashes")
    if not all(map(FEATURE.fullmatch, hashes)):
        raise _Malformed("a component has no proper name")
    counted = {name: _whole(weights, name, 0, MOST_WEIGHT) for name in weights}
    return HardwareBinding(
        salt=_matching(members, "salt", _SALT),
        hashes={
            name: _texts(hashes, name, _HASH, MOST_HASHES, least=1) for name in hashes
        },
        weights=counted,
        # With 0 any machine would do.
        threshold=_whole(members, "threshold", 1, sum(counted.values())),
    )


def _write_hardware(binding: HardwareBinding) -> dict[str, Any]:
    return {
        "type": "hardware",
        "salt": binding.salt,
        "hashes": {name: list(found) for name, found in binding.hashes.items()},
        "weights": dict(binding.weights),
        "threshold": binding.threshold,
    }


def _read_domain(members: Mapping[str, Any]) -> DomainBinding:
    _keys(members, "it", "type name")
    name = _typed(members, "name", str)
    if not is_host(name):
        raise _Malformed(
            "name is no host name in small letters with a dot in it, or is an address"
        )
    return DomainBinding(name)


def _write_domain(binding: DomainBinding) -> dict[str, Any]:
    return {"type": "domain", "name": binding.name}


def _read_address(members: Mapping[str, Any]) -> AddressBinding:
    _keys(members, "it", "type addresses")
    addresses = _strings(members, "addresses", MOST_ADDRESSES, least=1)
    for address in addresses:
        try:
            if "/" in address:
                known = str(ipaddress.ip_network(address))
            else:
                known = str(ipaddress.ip_address(address))
        except ValueError:
            known = ""
        # One way to write each, so that two licences compare as texts.
        if known != address or "%" in address:
            raise _Malformed("addresses holds what is no address or network")
    return AddressBinding(addresses)


def _write_address(binding: AddressBinding) -> dict[str, Any]:
    return {"type": "address", "addresses": list(binding.addresses)}


def _read_ukey(members: Mapping[str, Any]) -> UKeyBinding:
    _keys(members, "it", "type vendor product serial public_key")
    serial = _text(members, "serial", 126)
    if not serial.isprintable():
        raise _Malformed("serial is no serial number")
    return UKeyBinding(
        vendor=_whole(members, "vendor", 0, 0xFFFF),
        product=_whole(members, "product", 0, 0xFFFF),
        serial=serial,
        public_key=_matching(members, "public_key", _POINT),
    )


def _write_ukey(binding: UKeyBinding) -> dict[str, Any]:
    return {
        "type": "ukey",
        "vendor": binding.vendor,
        "product": binding.product,
        "serial": binding.serial,
        "public_key": binding.public_key,
    }


_WRITERS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    HardwareBinding: _write_hardware,
    DomainBinding: _write_domain,
    AddressBinding: _write_address,
    UKeyBinding: _write_ukey,
}

#: With the code of a binding that cannot be read.
_READERS: Mapping[str, tuple[Callable[[Mapping[str, Any]], Binding], ResultCode]] = {
    "hardware": (_read_hardware, ResultCode.CERTFILE_HDSIGFAIL),
    "domain": (_read_domain, ResultCode.CERTFILE_DOMAINFAIL),
    "address": (_read_address, ResultCode.CERTFILE_IPADDRFAIL),
    "ukey": (_read_ukey, ResultCode.CERTFILE_UKEYFAIL),
}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; two members of one name would mean one thing here, another there."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Malformed("a member is there twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise _Malformed("a number is not whole")


def _keys(members: Any, where: str, names: str) -> None:
    if type(members) is not dict:
        raise _Malformed(f"{where} is no object")
    if set(members) != set(names.split()):
        raise _Malformed(f"{where} does not have the members {names}, and no others")


def _typed(members: Mapping[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    value = members.get(name)
    # By type(), since a bool is an int to isinstance().
    if type(value) is not kind:
        raise _Malformed(f"{name} is no {kind.__name__}")
    return value


def _whole(members: Mapping[str, Any], name: str, least: int, most: int) -> int:
    number = _typed(members, name, int)
    if not least <= number <= most:
        raise _Malformed(f"{name} is not from {least} to {most}")
    return number


def _text(members: Mapping[str, Any], name: str, most: int, least: int = 1) -> str:
    text = _typed(members, name, str)
    if not least <= len(text) <= most:
        raise _Malformed(f"{name} does not have {least} to {most} characters")
    return text


def _matching(members: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    text = _typed(members, name, str)
    if not pattern.fullmatch(text):
        raise _Malformed(f"{name} is not as it must be")
    return text


def _list(
    members: Mapping[str, Any], name: str, most: int, least: int = 0
) -> list[Any]:
    values: list[Any] = _typed(members, name, list)
    if not least <= len(values) <= most:
        raise _Malformed(f"{name} does not have {least} to {most} members")
    return values


def _strings(
    members: Mapping[str, Any], name: str, most: int, least: int = 0
) -> tuple[str, ...]:
    values = _list(members, name, most, least)
    if any(type(value) is not str for value in values):
        raise _Malformed(f"{name} does not hold texts")
    if len(set(values)) != len(values):
        raise _Malformed(f"{name} holds something twice")
    return tuple(values)


def _texts(
    members: Mapping[str, Any],
    name: str,
    pattern: re.Pattern[str],
    most: int,
    least: int = 0,
) -> tuple[str, ...]:
    texts = _strings(members, name, most, least)
    if not all(map(pattern.fullmatch, texts)):
        raise _Malformed(f"{name} holds what is not as it must be")
    return texts
