"""The command line of ``anychat-client``."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anychat
from anychat.business_messages import MAX_NAME
from anychat.client.address import parse_address
from anychat.client.log import LOG_NAME
from anychat.client.trace import LARGEST_RATE, SMALLEST_RATE
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
    Trust,
)
from anychat.codes import BUSINESS_SERVER, SELF, ResultCode, VideoCallFlag
from anychat.errors import ConfigError

#: UDPServicePort, unless the server has another.
UDP_PORT = 8907

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
    _check_encoding(text)
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
    _add_user(join)
    join.add_argument("--room", required=True, type=_room, metavar="N|NAME")
    join.add_argument("--room-password", default="", metavar="P")
    join.add_argument(
        "--watch",
        type=_watch,
        default=frozenset(),
        metavar="all|ID,ID",
        help="ids of guests are negative: --watch=-2,-3",
    )
    join.add_argument(
        "--text",
        type=_message,
        dest="say",
        metavar="MESSAGE",
        help="to the room, once",
    )
    _add_media(
        join, "one MP4 for each watched user; watches all if --watch is not given"
    )

    commands.add_parser(
        "info",
        parents=[common],
        help="print what a server says about itself",
        description="Print the server's hello and its certificate's fingerprint.",
    )
    _add_calls(commands, common)
    _add_send_text(commands, common)
    _add_send_file(commands, common)
    _add_nettest(commands, common)
    _add_udpcheck(commands)
    return main


def _add_user(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", required=True, type=_check_encoding, metavar="NAME")
    command.add_argument(
        "--password",
        metavar="P",
        help="empty: as a guest; better given in ANYCHAT_PASSWORD, "
        "since others can see command lines",
    )
    command.add_argument(
        "--auth-pass",
        metavar="S",
        help="SDKAuthPass of the server; better in ANYCHAT_AUTH_PASS",
    )


def _add_media(command: argparse.ArgumentParser, save: str) -> None:
    command.add_argument(
        "--publish",
        metavar="SOURCE",
        help="a media file, a device, or test: (test:size=640x480,fps=15,tone=880)",
    )
    command.add_argument(
        "--video-size",
        type=_size,
        metavar="WxH",
        help="largest picture to publish; the server's default if not given",
    )
    command.add_argument(
        "--fps",
        type=_number(1, 60),
        metavar="N",
        help="most pictures a second, the same",
    )
    command.add_argument(
        "--video-bitrate",
        type=_video_bitrate,
        metavar="BITS",
        help="a second, as 500k or 2M, the same; 0: the quality decides",
    )
    command.add_argument(
        "--layers",
        type=int,
        choices=(1, 2),
        help="2: send the picture small as well, for members with thin links",
    )
    command.add_argument("--save", metavar="DIR", help=save)
    command.add_argument(
        "--accept-files",
        metavar="DIR",
        help="take files that others send; they are refused if not given",
    )
    command.add_argument("--seconds", type=_seconds, metavar="N", help="in the room")
    command.add_argument(
        "--log", default=LOG_NAME, metavar="FILE", help=f"or {LOG_NAME}"
    )


#: What --forbid takes, and the flag that it sets.
_FORBIDS = {
    "my-audio": VideoCallFlag.FORBID_SOURCE_AUDIO,
    "my-video": VideoCallFlag.FORBID_SOURCE_VIDEO,
    "their-audio": VideoCallFlag.FORBID_TARGET_AUDIO,
    "their-video": VideoCallFlag.FORBID_TARGET_VIDEO,
}


def _callee(text: str) -> int | str:
    """A user id, or else a name."""
    if not re.fullmatch(r"-?\d+", text):
        _check_encoding(text)
        if not text.strip() or len(text) > MAX_NAME:
            raise argparse.ArgumentTypeError(
                f"a user's name has 1 to {MAX_NAME} characters"
            )
        return text
    callee = _user(text)
    if callee in (BUSINESS_SERVER, SELF):
        raise argparse.ArgumentTypeError(
            f"{callee} cannot be called: ids of users begin at 1, of guests at -2"
        )
    return callee


def _flags(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|\d{1,10}", text) or int(text, 0) >> 32:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 3 or 0x103")
    return int(text, 0)


def _add_calls(commands: Any, common: argparse.ArgumentParser) -> None:
    call = commands.add_parser(
        "call",
        parents=[common],
        help="call a user, talk, and hang up",
        description="Call USER; once he answers publish, and watch him, until "
        "--seconds are over, ctrl-C is pressed, or he hangs up.",
    )
    call.add_argument(
        "callee",
        type=_callee,
        metavar="USER",
        help="id or name",
    )
    _add_user(call)
    call.add_argument(
        "--flags",
        type=_flags,
        default=int(VideoCallFlag.AUDIO | VideoCallFlag.VIDEO),
        metavar="N",
        help="AnyChat's flags of the call; 3 (audio and video) if not given",
    )
    call.add_argument(
        "--forbid",
        action="append",
        choices=sorted(_FORBIDS),
        default=[],
        help="what the server is not to forward; may be given more than once",
    )
    answer = commands.add_parser(
        "answer",
        parents=[common],
        help="wait for a call, answer it, and talk",
        description="Log in and answer the first call, or refuse it; talk until "
        "--seconds are over, ctrl-C is pressed, or the caller hangs up.",
    )
    _add_user(answer)
    answer.add_argument(
        "--wait", type=_seconds, metavar="N", help="seconds for a call to come"
    )
    answer.add_argument(
        "--reject",
        nargs="?",
        type=_number(1, 999_999_999),
        const=int(ResultCode.VIDEOCALL_REJECT),
        metavar="CODE",
        help="refuse it, with 100104 if no other code is given",
    )
    for command in (call, answer):
        command.add_argument(
            "--param", type=_user, default=0, metavar="N", help="for the other party"
        )
        command.add_argument(
            "--text",
            type=_check_encoding,
            default="",
            metavar="TEXT",
            help="for the other party",
        )
        _add_media(command, "an MP4 of the other party")


def _bits(text: str) -> int:
    """Bits a second, -1 for what is no number of them."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,3})?)([kKmMgG]?)", text)
    factor = {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}
    return round(float(match[1]) * factor[match[2].lower()]) if match else -1


def _video_bitrate(text: str) -> int:
    rate = _bits(text)
    if not 0 <= rate <= 100_000_000:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no bit rate from 0 to 100M, such as 500k"
        )
    return rate


def _rate(text: str) -> int:
    rate = _bits(text)
    if not SMALLEST_RATE <= rate <= LARGEST_RATE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no rate from {SMALLEST_RATE // 1000}k to "
            f"{LARGEST_RATE // 1_000_000}M bits a second"
        )
    return rate


def _user(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,10}", text) or not -(1 << 31) <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is no user id")
    return int(text)


def _add_nettest(commands: Any, common: argparse.ArgumentParser) -> None:
    nettest = commands.add_parser(
        "nettest",
        parents=[common],
        help="measure loss, delay and jitter of UDP",
        description="Send a UDP trace through the server and say what became of it: "
        "to the server and back, or with --peer to a member who runs this too.",
    )
    nettest.add_argument("--room", required=True, type=_room, metavar="N|NAME")
    nettest.add_argument("--room-password", default="", metavar="P")
    nettest.add_argument(
        "--peer", type=_user, metavar="ID", help="user id; of a guest: --peer=-2"
    )
    nettest.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        metavar="N",
        help="seconds for that user to come; 60 if not given",
    )
    nettest.add_argument(
        "--size",
        type=_number(64, 1200),
        default=1000,
        metavar="BYTES",
        help="of a datagram, 64 to 1200; 1000 if not given",
    )
    nettest.add_argument(
        "--rate",
        type=_rate,
        default=500_000,
        metavar="BITS",
        help="a second, as 500k or 2M; 500k if not given",
    )
    nettest.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="N", help="10 if not given"
    )
    nettest.add_argument("--user", default="nettest", metavar="NAME")
    nettest.add_argument(
        "--password", metavar="P", help="empty: as a guest; better in ANYCHAT_PASSWORD"
    )
    nettest.add_argument(
        "--auth-pass", metavar="S", help="SDKAuthPass; better in ANYCHAT_AUTH_PASS"
    )


def _add_send_text(commands: Any, common: argparse.ArgumentParser) -> None:
    send = commands.add_parser(
        "send-text",
        parents=[common],
        help="send texts to a user or a room, and leave",
        description="Log in, send each TEXT, and log out. With --to the text goes to "
        "that user, wherever he is; with --room alone to all who are in it.",
    )
    send.add_argument("text", nargs="+", type=_message, metavar="TEXT")
    send.add_argument("--user", required=True, type=_check_encoding, metavar="NAME")
    send.add_argument(
        "--to", type=_user, metavar="ID", help="user id; of a guest: --to=-2"
    )
    send.add_argument(
        "--secret", action="store_true", help="only that user is to see it, with --to"
    )
    send.add_argument("--room", type=_room, metavar="N|NAME")
    send.add_argument("--room-password", default="", metavar="P")
    send.add_argument(
        "--password", metavar="P", help="empty: as a guest; better in ANYCHAT_PASSWORD"
    )
    send.add_argument(
        "--auth-pass", metavar="S", help="SDKAuthPass; better in ANYCHAT_AUTH_PASS"
    )


def _bitrate(text: str) -> int:
    rate = _bits(text)
    if not 1000 <= rate <= 100_000_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no bit rate such as 500k or 2M")
    return rate


def _receiver(text: str) -> int:
    return BUSINESS_SERVER if text == "server" else _user(text)


def _add_send_file(commands: Any, common: argparse.ArgumentParser) -> None:
    send = commands.add_parser(
        "send-file",
        parents=[common],
        help="send files to a user or the server, and leave",
        description="Log in, send each FILE, show how it goes, and log out. What a "
        "lost connection has not taken goes on by itself when it is back.",
    )
    send.add_argument("file", nargs="+", metavar="FILE")
    send.add_argument("--user", required=True, type=_check_encoding, metavar="NAME")
    send.add_argument(
        "--to",
        required=True,
        type=_receiver,
        metavar="ID|server",
        help="user id; of a guest: --to=-2; server: for its business server",
    )
    send.add_argument(
        "--limit",
        type=_bitrate,
        default=0,
        metavar="BITS",
        help="a second, as 500k or 2M; as fast as it goes if not given",
    )
    send.add_argument(
        "--guid",
        type=_check_encoding,
        metavar="GUID",
        help="names the task (TransFileEx): given again, only the rest is sent",
    )
    send.add_argument(
        "--text",
        type=_check_encoding,
        default="",
        metavar="TEXT",
        help="for the receiver, with --guid",
    )
    send.add_argument(
        "--password", metavar="P", help="empty: as a guest; better in ANYCHAT_PASSWORD"
    )
    send.add_argument(
        "--auth-pass", metavar="S", help="SDKAuthPass; better in ANYCHAT_AUTH_PASS"
    )


def _message(text: str) -> str:
    _check_encoding(text)
    if not 0 < len(text.encode("utf-8", "replace")) <= 16384:
        raise argparse.ArgumentTypeError("a text has 1 to 16384 bytes of UTF-8")
    return text


def _check_encoding(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None
    return text


def _udp_address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text, UDP_PORT)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT"
        ) from None


def _add_udpcheck(commands: Any) -> None:
    udpcheck = commands.add_parser(
        "udpcheck",
        help="say whether UDP gets through, and what the NAT does",
        description="Send plain STUN requests to the server's UDP port. Exit code 3: "
        "nothing was answered.",
    )
    udpcheck.add_argument(
        "address",
        type=_udp_address,
        metavar="HOST[:PORT]",
        help=f"UDP port {UDP_PORT} by default",
    )
    udpcheck.add_argument("--json", action="store_true", help="one JSON object")


def parse(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> argparse.Namespace:
    """Options of a command line; exits with 2 if it is wrong."""
    whole = parser()
    options = whole.parse_args(arguments)
    if options.command == "udpcheck":
        return options
    try:
        options.trust = _trust(options)
    except ConfigError as error:
        whole.error(str(error))
    if options.command == "send-text":
        _fill_secrets(options, environment)
        if options.to is None and options.room is None:
            whole.error("send-text needs --to or --room")
        if options.secret and options.to is None:
            whole.error("--secret goes with --to")
        if options.plain and (options.password or options.room_password):
            whole.error("--plain carries no passwords")
        return options
    if options.command in ("call", "answer"):
        _fill_secrets(options, environment)
        if options.plain:
            whole.error("--plain carries no media")
        if len(options.text.encode("utf-8", "replace")) > 16384:
            whole.error("--text has at most 16384 bytes of UTF-8")
        for name in getattr(options, "forbid", ()):
            options.flags |= _FORBIDS[name]
        options.watch, options.media, options.say = frozenset(), True, None
        _check_overrides(whole, options)
        return options
    if options.command == "send-file":
        _fill_secrets(options, environment)
        if options.plain and options.password:
            whole.error("--plain carries no passwords")
        if options.guid is None and options.text:
            whole.error("--text goes with --guid")
        if options.guid is not None and len(options.file) > 1:
            whole.error("--guid names one file")
        if options.guid is not None and not 0 < len(options.guid.encode()) <= 64:
            whole.error("a GUID has 1 to 64 bytes")
        return options
    if options.command == "nettest":
        _fill_secrets(options, environment)
        if options.plain:
            whole.error("--plain carries no media, so nothing can be measured")
        return options
    if options.command == "join":
        _fill_secrets(options, environment)
        if options.save is not None and options.watch == frozenset():
            options.watch = None
        watches = options.watch is None or bool(options.watch)
        if options.plain and (
            options.password or options.room_password or options.publish or watches
        ):
            whole.error("--plain carries neither passwords nor media")
        options.media = watches or options.publish is not None
        _check_overrides(whole, options)
    return options


def _check_overrides(
    whole: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    options.overrides = _overrides(options)
    if options.overrides and options.publish is None:
        whole.error(
            "--video-size, --fps, --video-bitrate and --layers go with --publish"
        )


def _fill_secrets(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    if options.password is None:
        options.password = environment.get("ANYCHAT_PASSWORD", "")
    if options.auth_pass is None:
        options.auth_pass = environment.get("ANYCHAT_AUTH_PASS", "")


def _overrides(options: argparse.Namespace) -> dict[str, int]:
    """Media parameters that replace the server's, by their names."""
    overrides = {
        "video_fps": options.fps,
        "video_bitrate": options.video_bitrate,
        "video_layers": options.layers,
    }
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
