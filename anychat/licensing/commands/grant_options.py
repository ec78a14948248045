"""What a licence says, on the command line; what none can say is refused here."""

import ipaddress
import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path

from anychat.licensing.addresses import never_matches
from anychat.licensing.certificate import LICENCE_NAME
from anychat.licensing.commands.console import whole
from anychat.licensing.commands.output import add_output
from anychat.licensing.extension import (
    FEATURE,
    LONGEST_CUSTOMER,
    MOST_USERS,
    VERSIONS,
    is_host,
    is_name,
)
from anychat.licensing.fingerprint import DEFAULT_PERCENT
from anychat.licensing.licence import UKeyBinding
from anychat.licensing.ukey_wire import read_point
from anychat.terms import Feature

#: How long a licence is valid, unless said otherwise.
DAYS = 365
#: Names that lead to the machine that asks, or nowhere (RFC 6761 section 6).
_NOWHERE = (".localhost", ".invalid")
#: Of a certificate's dates (RFC 5280 section 4.1.2.5).
_FIRST_YEAR = 1950


def add_grant(parser: ArgumentParser, *, required: bool) -> None:
    """Add what a licence says.

    :param required: whether it is a licence of its own, not one like another.
    """
    parser.add_argument(
        "--customer",
        type=_customer,
        required=required,
        metavar="NAME",
        help="whom it is for",
    )
    parser.add_argument(
        "--users",
        type=whole(0, MOST_USERS),
        required=required,
        metavar="N",
        help="users at the same time; 0: any number",
    )
    features = parser.add_mutually_exclusive_group()
    features.add_argument(
        "--feature",
        action="append",
        type=_feature,
        metavar="NAME",
        help=f"a function it grants, such as {', '.join(Feature)}; may be repeated",
    )
    if not required:
        features.add_argument(
            "--without-feature",
            action="append",
            metavar="NAME",
            help="a function of the other one that it no longer grants; may be "
            "repeated",
        )
    parser.add_argument(
        "--product-version",
        type=_versions,
        metavar="VERSION",
        help="only for servers of this version, as anychatcoreserver --version says "
        "it: 6 means all 6.x (default: any)",
    )
    dates = parser.add_argument_group("dates")
    dates.add_argument(
        "--from",
        dest="start",
        type=_day,
        metavar="YYYY-MM-DD",
        help="its first day, UTC (default: now)",
    )
    ends = dates.add_mutually_exclusive_group()
    ends.add_argument(
        "--days",
        type=whole(1, 36525),
        help=f"how long it is valid (default: {DAYS})"
        if required
        else f"how long after the other one's end, or from now if that has passed "
        f"(default: {DAYS})",
    )
    ends.add_argument(
        "--until", type=_day, metavar="YYYY-MM-DD", help="its last day, UTC"
    )
    bindings = parser.add_argument_group("bindings")
    bindings.add_argument(
        "--request",
        type=Path,
        action="append",
        metavar="FILE",
        help="to the machine of this request (anychat-license fingerprint)",
    )
    bindings.add_argument(
        "--percent",
        type=whole(1, 100),
        help="with --request: how much of the machine must be as it was (default: "
        f"{DEFAULT_PERCENT})",
    )
    bindings.add_argument(
        "--domain",
        type=_domain,
        action="append",
        metavar="NAME",
        help="to the host that this name leads to",
    )
    bindings.add_argument(
        "--address",
        type=_address,
        action="append",
        metavar="ADDRESS",
        help="to a host with this address, or one of this network "
        "(192.0.2.0/24); of several one is enough",
    )
    bindings.add_argument(
        "--ukey",
        type=_ukey,
        action="append",
        metavar="VENDOR:PRODUCT[:SERIAL:KEY]",
        help="to a USB key: its USB numbers in hexadecimal, and either it is plugged "
        "in here, or its serial number and public key (130 hexadecimal digits) follow",
    )
    bindings.add_argument(
        "--match",
        choices=("all", "any"),
        help="whether all bindings must match or one of them (default: all)",
    )
    bindings.add_argument(
        "--unbound", action="store_true", help="to nothing: it runs anywhere"
    )
    add_output(parser, LICENCE_NAME, "where to write it")


def _customer(text: str) -> str:
    if not is_name(text):
        raise ArgumentTypeError(
            f"{_shown(text)} does not have 1 to {LONGEST_CUSTOMER} printable "
            "characters, none of its ends blank"
        )
    return text


def _feature(text: str) -> str:
    if not FEATURE.fullmatch(text):
        raise ArgumentTypeError(
            f"{_shown(text)} is no name of a function: a small letter, then up to 31 "
            "of small letters, digits and -"
        )
    return text


def _versions(text: str) -> str:
    if text and not VERSIONS.fullmatch(text):
        raise ArgumentTypeError(f"{_shown(text)} is no version as in 6 or 6.0.1")
    return text


def _shown(text: str) -> str:
    return repr(text[:100])


def _day(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day as in 2027-01-31") from None
    if day.year < _FIRST_YEAR:
        raise ArgumentTypeError(f"{text!r} is before {_FIRST_YEAR}")
    return day


def _domain(text: str) -> str:
    try:
        name = text.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    if not is_host(name):
        raise ArgumentTypeError(f"{_shown(text)} is no host name with a dot in it")
    if name.endswith(_NOWHERE):
        raise ArgumentTypeError(
            f"{_shown(text)} never matches: it leads to no address that counts"
        )
    return name


def _address(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if reason := never_matches(network):
        raise ArgumentTypeError(f"{text} {reason}")
    return str(network if "/" in text else network.network_address)


def _ukey(text: str) -> UKeyBinding:
    """A binding; without serial number and key if it is to be read."""
    found = re.fullmatch(
        r"([0-9a-f]{4}):([0-9a-f]{4})(?::(.+):(04[0-9a-f]{128}))?", text, re.I
    )
    if found is None:
        raise ArgumentTypeError(
            f"{text!r} is neither VENDOR:PRODUCT (as in 1209:0001) nor "
            "VENDOR:PRODUCT:SERIAL:KEY"
        )
    vendor, product, serial, key = found.groups()
    try:
        if key:
            read_point(bytes.fromhex(key))
    except ValueError:
        raise ArgumentTypeError(
            f"the public key of {vendor}:{product} is none of P-256: is a digit wrong?"
        ) from None
    return UKeyBinding(
        int(vendor, 16), int(product, 16), serial or "", (key or "").lower()
    )
