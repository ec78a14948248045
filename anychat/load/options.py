"""The command line of ``anychat-load``."""

import argparse
from collections.abc import Mapping, Sequence

from anychat.client.address import parse_address
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
    Trust,
)
from anychat.errors import ConfigError
from anychat.load.layout import Layout
from anychat.load.pattern import (
    LONGEST,
    LONGEST_BURST,
    SHORTEST,
    VIDEO,
    Pattern,
    steady,
)

_DESCRIPTION = """\
Load an AnyChat core server with users who publish and watch, and measure what
it forwards, loses and delays.

exit codes: 0 measured, 1 refused by the server (number and name are printed)
or links were lost, 2 wrong usage, 3 cannot connect.
"""

_SIZE, _RATE, _BURST = 1100, 50.0, 1


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT"
        ) from None


class _Whole:
    """A whole number between two others."""

    def __init__(self, least: int, most: int):
        self.least, self.most = least, most

    def __call__(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = self.least - 1
        if not self.least <= number <= self.most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {self.least} to {self.most}"
            )
        return number


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number above 0, up to 1,000,000"
        )
    return number


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="anychat-load",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = whole.add_argument
    add("address", type=_address, metavar="HOST[:PORT]", help="port 8906 by default")

    load = whole.add_argument_group("the load")
    add = load.add_argument
    add("--users", type=_Whole(1, 100_000), default=10, metavar="N", help="default 10")
    add(
        "--rooms-of",
        type=_Whole(1, 100_000),
        metavar="M",
        help="members of each room; default: all in one",
    )
    add(
        "--publishers",
        type=_Whole(0, 100_000),
        default=1,
        metavar="K",
        help="members of each room that publish; all others watch; default 1",
    )
    add(
        "--size",
        type=_Whole(SHORTEST, LONGEST),
        metavar="BYTES",
        help=f"of each packet, {SHORTEST} to {LONGEST}; default {_SIZE}",
    )
    add(
        "--rate",
        type=_positive,
        metavar="PPS",
        help=f"packets a second of each publisher; default {_RATE:g}",
    )
    add(
        "--burst",
        type=_Whole(1, LONGEST_BURST),
        metavar="B",
        help="packets that leave together; default 1",
    )
    add(
        "--video",
        choices=tuple(VIDEO),
        help="instead: frames of that H.264 picture, as bursts of equal fragments",
    )
    add("--seconds", type=_positive, default=10.0, metavar="S", help="default 10")
    add(
        "--segment",
        action="store_true",
        help="send each burst at once (UDP_SEGMENT), for a cheaper sender",
    )

    measured = whole.add_argument_group("what is measured")
    add = measured.add_argument
    add(
        "--pid",
        type=_Whole(1, 1 << 30),
        metavar="PID",
        help="of the server, if it runs on this machine: its CPU time is read",
    )
    add("--json", action="store_true", help="one JSON object instead of the table")

    entry = whole.add_argument_group("how to get in")
    add = entry.add_argument
    add("--name", default="load", help="users are NAME-0, NAME-1, ...; default load")
    add(
        "--password",
        metavar="P",
        help="of all users; empty: guests; better in ANYCHAT_PASSWORD",
    )
    add(
        "--auth-pass",
        metavar="S",
        help="SDKAuthPass of the server; better in ANYCHAT_AUTH_PASS",
    )
    trust = entry.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", metavar="FILE", help="verify chain and name against a PEM file"
    )
    trust.add_argument(
        "--fingerprint", metavar="HEX", help="SHA-256 of the server's certificate"
    )
    trust.add_argument("--insecure", action="store_true", help="take any certificate")
    return whole


def parse(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> argparse.Namespace:
    """Options of a command line; exits with 2 if it is wrong."""
    whole = parser()
    options = whole.parse_args(arguments)
    room_size = min(options.rooms_of or options.users, options.users)
    if options.publishers > room_size:
        whole.error(f"{options.publishers} publishers in rooms of {room_size}")
    options.layout = Layout(options.users, room_size, options.publishers)
    plain = options.size, options.rate, options.burst
    if options.video is not None and plain != (None, None, None):
        whole.error("--video comes with its own --size, --rate and --burst")
    options.pattern = _pattern(options)
    if options.password is None:
        options.password = environment.get("ANYCHAT_PASSWORD", "")
    if options.auth_pass is None:
        options.auth_pass = environment.get("ANYCHAT_AUTH_PASS", "")
    try:
        options.trust = _trust(options)
    except ConfigError as error:
        whole.error(str(error))
    return options


def _pattern(options: argparse.Namespace) -> Pattern:
    if options.video is not None:
        return VIDEO[options.video]
    return steady(options.size or _SIZE, options.rate or _RATE, options.burst or _BURST)


def _trust(options: argparse.Namespace) -> Trust:
    if options.ca is not None:
        return Authority(options.ca)
    if options.fingerprint is not None:
        return Fingerprint(options.fingerprint)
    if options.insecure:
        return AnyCertificate()
    return KnownServers()
