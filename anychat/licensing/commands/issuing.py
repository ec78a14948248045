"""``anychat-license issue`` and ``renew``: the vendor makes licences."""

import ipaddress
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

import anychat
from anychat.licensing.addresses import never_matches
from anychat.licensing.authority import SKEW, AuthorityError
from anychat.licensing.certificate import (
    LICENCE_NAME,
    fits_version,
    inspect_licence,
    read_certificates,
    read_file,
)
from anychat.licensing.commands.authority import add_ca
from anychat.licensing.commands.ca_directory import CaDirectory
from anychat.licensing.commands.console import FINE, Console, UsageError, whole
from anychat.licensing.commands.output import (
    add_output,
    check_output,
    is_standard_output,
)
from anychat.licensing.description import describe
from anychat.licensing.extension import (
    FEATURE,
    LONGEST_CUSTOMER,
    MOST_USERS,
    VERSIONS,
    encode_grant,
    is_host,
    is_name,
)
from anychat.licensing.files import replace_file
from anychat.licensing.findings import LicenceError
from anychat.licensing.fingerprint import DEFAULT_PERCENT, bind, shortcoming
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    Grant,
    HardwareBinding,
    UKeyBinding,
)
from anychat.licensing.request import MAX_SIZE, read_request
from anychat.licensing.ukey import read_ukeys
from anychat.licensing.ukey_wire import read_point
from anychat.terms import Feature

_DAYS = 365
#: Names that lead to the machine that asks, or nowhere (RFC 6761 section 6).
_NOWHERE = (".localhost", ".invalid")
_CUSTOMER = "whom it is for"
#: Of a certificate's dates (RFC 5280 section 4.1.2.5).
_FIRST_YEAR = 1950


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    issue = commands.add_parser(
        "issue",
        help="make a licence",
        description="Make a licence. Say what it is bound to, or --unbound.",
    )
    add_ca(issue)
    issue.add_argument(
        "--customer", required=True, metavar="NAME", type=_customer, help=_CUSTOMER
    )
    _add_grant(issue, required=True)
    issue.set_defaults(run=_issue)

    renew = commands.add_parser(
        "renew",
        help="make a licence that follows another",
        description="Make a licence like another one, for longer. What is given here "
        "takes the place of what the other one says; new bindings replace all of its "
        "bindings. The other one stays valid: see `revoke`.",
    )
    add_ca(renew)
    renew.add_argument(
        "licence",
        metavar="LICENCE",
        help="a file, or the serial number of one that was issued here",
    )
    renew.add_argument("--customer", metavar="NAME", type=_customer, help=_CUSTOMER)
    _add_grant(renew, required=False)
    renew.set_defaults(run=_renew)


def _add_grant(parser: ArgumentParser, *, required: bool) -> None:
    """Add what a licence says."""
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
        help=f"how long it is valid (default: {_DAYS})"
        if required
        else f"how long after the other one's end, or from now if that has passed "
        f"(default: {_DAYS})",
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


def _issue(arguments: Namespace, console: Console) -> int:
    bindings = _bindings(arguments, console)
    if not bindings and not arguments.unbound:
        raise UsageError(
            "say what it is bound to (--request, --domain, --address, --ukey), or "
            "--unbound"
        )
    grant = Grant(
        customer=arguments.customer,
        max_users=arguments.users,
        features=_features(arguments, console),
        bindings=bindings,
        match_all=arguments.match != "any",
        versions=arguments.product_version or "",
    )
    return _make(arguments, console, grant, arguments.start or console.now)


def _renew(arguments: Namespace, console: Console) -> int:
    data = CaDirectory(arguments.ca).find(arguments.licence)
    former = inspect_licence(data, arguments.licence)
    bindings = _bindings(arguments, console)
    _tell_of_revocation(CaDirectory(arguments.ca), former.serial, console)
    changes: dict[str, Any] = {}
    if arguments.customer is not None:
        changes["customer"] = arguments.customer
    if arguments.users is not None:
        changes["max_users"] = arguments.users
    if arguments.feature is not None:
        changes["features"] = _features(arguments, console)
    if arguments.without_feature is not None:
        changes["features"] = _left(former.grant.features, arguments.without_feature)
    if arguments.product_version is not None:
        changes["versions"] = arguments.product_version
    if bindings or arguments.unbound:
        changes["bindings"] = bindings
    if arguments.match is not None:
        changes["match_all"] = arguments.match == "all"
    grant = replace(former.grant, **changes)
    base = max(arguments.start or console.now, console.now, former.not_after)
    certificate = read_certificates(data)[0]
    return _make(arguments, console, grant, base, (arguments.licence, certificate))


def _make(
    arguments: Namespace,
    console: Console,
    grant: Grant,
    base: datetime,
    former: tuple[str, x509.Certificate] | None = None,
) -> int:
    """Sign a licence, keep it and write it.

    :param base: from when on the days are counted.
    :param former: the licence that this one follows, with its name; of the same CA.
    """
    if arguments.until is not None:
        end = arguments.until + timedelta(days=1, seconds=-1)
    else:
        try:
            end = base + timedelta(days=arguments.days or _DAYS)
        except OverflowError:
            raise UsageError("it would end after the year 9999") from None
    if end <= console.now:
        console.warn(f"it has ended already, on {end:%Y-%m-%d}: no server takes it")
    if end <= (arguments.start or console.now - SKEW):
        raise UsageError("it would end before it begins")
    check_output(arguments.out, force=arguments.force)
    # All that can be known to be wrong is said before a pass phrase is asked for.
    encode_grant(grant)
    if not fits_version(grant.versions, anychat.__version__):
        console.warn(
            f"it will not be for version {anychat.__version__}, which this program is "
            f"of, but for {grant.versions}"
        )
    directory = CaDirectory(arguments.ca)
    authority = directory.read(console.passphrase(arguments.passphrase_file))
    if former is not None and not authority.has_signed(former[1]):
        raise AuthorityError(f"{former[0]} is not of this CA")
    with directory.locked():
        # Of several at once that write one file the first one does.
        check_output(arguments.out, force=arguments.force)
        licence = authority.issue(grant, arguments.start or console.now - SKEW, end)
        directory.keep(licence)
        if is_standard_output(arguments.out):
            console.output.write(licence.decode())
            return FINE
        replace_file(arguments.out, licence)
    console.report(
        *describe(inspect_licence(licence)),
        f"{arguments.out}: for the customer, as {LICENCE_NAME}",
    )
    return FINE


def _tell_of_revocation(directory: CaDirectory, serial: int, console: Console) -> None:
    """It may be meant, such as after a mistake; and it may be forgotten."""
    try:
        day = directory.revoked_on(serial)
    except (AuthorityError, LicenceError) as error:
        text = error.text if isinstance(error, LicenceError) else str(error)
        console.warn(f"whether it was revoked is not known: {text}")
        return
    if day is not None:
        console.warn(f"the licence {serial:x} was revoked on {day}; this one is not")


def _left(features: tuple[str, ...], without: list[str]) -> tuple[str, ...]:
    """Functions of a licence but some."""
    for name in without:
        if name not in features:
            has = ", ".join(features) or "none"
            raise UsageError(f"it has no function {name!r} to take off; it has {has}")
    return tuple(name for name in features if name not in without)


def _features(arguments: Namespace, console: Console) -> tuple[str, ...]:
    features = tuple(dict.fromkeys(arguments.feature or ()))
    for unknown in set(features) - set(Feature):
        console.warn(f"this version knows no function {unknown!r}")
    return features


def _bindings(arguments: Namespace, console: Console) -> tuple[Binding, ...]:
    if arguments.percent is not None and not arguments.request:
        raise UsageError("--percent is of a machine: it needs --request")
    if arguments.match is not None and arguments.unbound:
        raise UsageError(
            "--match is of bindings, and --unbound says that there are none"
        )
    percent = arguments.percent or DEFAULT_PERCENT
    bindings: list[Binding] = [
        _machine(path, percent, console) for path in arguments.request or ()
    ]
    bindings += [DomainBinding(name) for name in dict.fromkeys(arguments.domain or ())]
    if arguments.address:
        bindings.append(AddressBinding(tuple(dict.fromkeys(arguments.address))))
    bindings += [
        ukey if ukey.public_key else _plugged(ukey) for ukey in arguments.ukey or ()
    ]
    if bindings and arguments.unbound:
        raise UsageError("--unbound, and bindings as well")
    return tuple(bindings)


def _machine(path: Path, percent: int, console: Console) -> HardwareBinding:
    data = read_file(path, MAX_SIZE)
    if data is None:
        raise UsageError(f"{path} is not there")
    request = read_request(data)
    binding = bind(request.hashes, request.salt, percent=percent)
    for component, reason in request.absent.items():
        console.warn(f"{path}: no {component}: {reason}")
    if missing := shortcoming(binding):
        console.warn(f"{path}: {missing}")
    return binding


def _plugged(ukey: UKeyBinding) -> UKeyBinding:
    """The USB key of these numbers that is plugged in here."""
    found = read_ukeys(ukey.vendor, ukey.product)
    name = f"{ukey.vendor:04x}:{ukey.product:04x}"
    if not found:
        raise AuthorityError(f"no USB key {name} is plugged in here")
    if len(found) > 1:
        raise AuthorityError(f"several USB keys {name} are plugged in: leave one")
    return found[0]
