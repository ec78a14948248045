"""The command line of ``anychat-client``."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence

import anychat
from anychat.client.address import parse_address
from anychat.client.log import LOG_NAME
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
    Trust,
)
from anychat.errors import ConfigError

_DESCRIPTION = """\
AnyChat client for the console.

exit codes: 0 fine, 1 refused by the server (number and name are printed),
2 wrong usage, 3 cannot connect, or not again.
"""


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT"
        ) from None


def _room(text: str) -> int | str:
    if not text:
        raise argparse.ArgumentTypeError("a room needs a number or a name")
    if re.fullmatch(r"[+-]?\d+", text):
        if not 1 <= int(text) < 1 << 31:
            raise argparse.ArgumentTypeError(f"{text} is no room number")
        return int(text)
    return text


def _watch(text: str) -> frozenset[int] | None:
    """The user ids, or None for all."""
    if text == "all":
        return None
    try:
        return frozenset(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 'all' nor user ids with commas between"
        ) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _size(text: str) -> tuple[int, int]:
    """Width and height."""
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480")
    return int(match[1]), int(match[2])


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number from {lowest} to {highest}"
            )
        return int(text)

    return number


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    main = argparse.ArgumentParser(
        prog="anychat-client",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=anychat.__version__)
    commands = main.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "address", type=_address, metavar="HOST[:PORT]", help="port 8906 by default"
    )
    common.add_argument("--json", action="store_true", help="one JSON object a line")
    trust = common.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", metavar="FILE", help="verify chain and name against a PEM file"
    )
    trust.add_argument(
        "--fingerprint", metavar="HEX", help="SHA-256 of the server's certificate"
    )
    trust.add_argument(
        "--insecure", action="store_true", help="take any certificate: for tests"
    )
    trust.add_argument(
        "--plain",
        action="store_true",
        help="no TLS: to this machine only, without passwords and media",
    )

    join = commands.add_parser(
        "join",
        parents=[common],
        help="enter a room; publish, watch, save, send a text",
        description="Enter a room until --seconds are over or ctrl-C is pressed.",
    )
    join.add_argument("--user", required=True, metavar="NAME")
    join.add_argument(
        "--password",
        metavar="P",
        help="empty: as a guest; better given in ANYCHAT_PASSWORD, "
        "since others can see command lines",
    )
    join.add_argument(
        "--auth-pass",
        metavar="S",
        help="SDKAuthPass of the server; better in ANYCHAT_AUTH_PASS",
    )
    join.add_argument("--room", required=True, type=_room, metavar="N|NAME")
    join.add_argument("--room-password", default="", metavar="P")
    join.add_argument(
        "--publish",
        metavar="SOURCE",
        help="a media file, a device, or test: (test:size=640x480,fps=15,tone=880)",
    )
    join.add_argument(
        "--video-size",
        type=_size,
        metavar="WxH",
        help="largest picture to publish; the server's default if not given",
    )
    join.add_argument(
        "--fps",
        type=_number(1, 60),
        metavar="N",
        help="most pictures a second, the same",
    )
    join.add_argument(
        "--video-bitrate",
        type=_number(0, 100_000_000),
        metavar="N",
        help="bits a second, the same; 0: the quality decides",
    )
    join.add_argument(
        "--watch",
        type=_watch,
        default=frozenset(),
        metavar="all|ID,ID",
        help="ids of guests are negative: --watch=-2,-3",
    )
    join.add_argument(
        "--save",
        metavar="DIR",
        help="one MP4 for each watched user; watches all if --watch is not given",
    )
    join.add_argument("--text", metavar="MESSAGE", help="to the room, once")
    join.add_argument("--seconds", type=_seconds, metavar="N", help="in the room")
    join.add_argument("--log", default=LOG_NAME, metavar="FILE", help=f"or {LOG_NAME}")

    commands.add_parser(
        "info",
        parents=[common],
        help="print what a server says about itself",
        description="Print the server's hello and its certificate's fingerprint.",
    )
    return main


def parse(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> argparse.Namespace:
    """Options of a command line; exits with 2 if it is wrong."""
    whole = parser()
    options = whole.parse_args(arguments)
    try:
        options.trust = _trust(options)
    except ConfigError as error:
        whole.error(str(error))
    if options.command == "join":
        if options.password is None:
            options.password = environment.get("ANYCHAT_PASSWORD", "")
        if options.auth_pass is None:
            options.auth_pass = environment.get("ANYCHAT_AUTH_PASS", "")
        if options.save is not None and options.watch == frozenset():
            options.watch = None
        watches = options.watch is None or bool(options.watch)
        if options.plain and (
            options.password or options.room_password or options.publish or watches
        ):
            whole.error("--plain carries neither passwords nor media")
        options.media = watches or options.publish is not None
        options.overrides = _overrides(options)
        if options.overrides and options.publish is None:
            whole.error("--video-size, --fps and --video-bitrate go with --publish")
    return options


def _overrides(options: argparse.Namespace) -> dict[str, int]:
    """Media parameters that replace the server's, by their names."""
    overrides = {"video_fps": options.fps, "video_bitrate": options.video_bitrate}
    if options.video_size is not None:
        overrides["video_width"], overrides["video_height"] = options.video_size
    return {name: value for name, value in overrides.items() if value is not None}


def _trust(options: argparse.Namespace) -> Trust:
    if options.ca is not None:
        return Authority(options.ca)
    if options.fingerprint is not None:
        return Fingerprint(options.fingerprint)
    if options.insecure:
        return AnyCertificate()
    return KnownServers()
