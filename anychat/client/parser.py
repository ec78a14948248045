"""The verbs of ``anychat-client`` and the options of each."""

import argparse
from typing import Any

import anychat
from anychat.client import arguments
from anychat.client.log import LOG_NAME
from anychat.codes import ResultCode, VideoCallFlag

_DESCRIPTION = """\
AnyChat client for the console.

exit codes: 0 fine, 1 refused by the server (number and name are printed),
2 wrong usage, 3 cannot connect, or not again.
"""


#: What --forbid takes, and the flag that it sets.
FORBIDS = {
    "my-audio": VideoCallFlag.FORBID_SOURCE_AUDIO,
    "my-video": VideoCallFlag.FORBID_SOURCE_VIDEO,
    "their-audio": VideoCallFlag.FORBID_TARGET_AUDIO,
    "their-video": VideoCallFlag.FORBID_TARGET_VIDEO,
}


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
        "address",
        type=arguments.address,
        metavar="HOST[:PORT]",
        help="port 8906 by default",
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
    join.add_argument("--room", required=True, type=arguments.room, metavar="N|NAME")
    join.add_argument("--room-password", default="", metavar="P")
    join.add_argument(
        "--watch",
        type=arguments.watch,
        default=frozenset(),
        metavar="all|ID,ID",
        help="ids of guests are negative: --watch=-2,-3",
    )
    join.add_argument(
        "--text",
        type=arguments.message,
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
    command.add_argument(
        "--user", required=True, type=arguments.encodable, metavar="NAME"
    )
    _add_passwords(command)


def _add_passwords(command: argparse.ArgumentParser) -> None:
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
        type=arguments.size,
        metavar="WxH",
        help="largest picture to publish; the server's default if not given",
    )
    command.add_argument(
        "--fps",
        type=arguments.number(1, 60),
        metavar="N",
        help="most pictures a second, the same",
    )
    command.add_argument(
        "--video-bitrate",
        type=arguments.video_bitrate,
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
    command.add_argument(
        "--seconds", type=arguments.seconds, metavar="N", help="in the room"
    )
    command.add_argument(
        "--log", default=LOG_NAME, metavar="FILE", help=f"or {LOG_NAME}"
    )


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
        type=arguments.callee,
        metavar="USER",
        help="id or name",
    )
    _add_user(call)
    call.add_argument(
        "--flags",
        type=arguments.flags,
        default=int(VideoCallFlag.AUDIO | VideoCallFlag.VIDEO),
        metavar="N",
        help="AnyChat's flags of the call; 3 (audio and video) if not given",
    )
    call.add_argument(
        "--forbid",
        action="append",
        choices=sorted(FORBIDS),
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
        "--wait", type=arguments.seconds, metavar="N", help="seconds for a call to come"
    )
    answer.add_argument(
        "--reject",
        nargs="?",
        type=arguments.number(1, 999_999_999),
        const=int(ResultCode.VIDEOCALL_REJECT),
        metavar="CODE",
        help="refuse it, with 100104 if no other code is given",
    )
    for command in (call, answer):
        command.add_argument(
            "--param",
            type=arguments.user_id,
            default=0,
            metavar="N",
            help="for the other party",
        )
        command.add_argument(
            "--text",
            type=arguments.encodable,
            default="",
            metavar="TEXT",
            help="for the other party",
        )
        _add_media(command, "an MP4 of the other party")


def _add_send_text(commands: Any, common: argparse.ArgumentParser) -> None:
    send = commands.add_parser(
        "send-text",
        parents=[common],
        help="send texts to a user or a room, and leave",
        description="Log in, send each TEXT, and log out. With --to the text goes to "
        "that user, wherever he is; with --room alone to all who are in it.",
    )
    send.add_argument("text", nargs="+", type=arguments.message, metavar="TEXT")
    send.add_argument("--user", required=True, type=arguments.encodable, metavar="NAME")
    send.add_argument(
        "--to",
        type=arguments.user_id,
        metavar="ID",
        help="user id; of a guest: --to=-2",
    )
    send.add_argument(
        "--secret", action="store_true", help="only that user is to see it, with --to"
    )
    send.add_argument("--room", type=arguments.room, metavar="N|NAME")
    send.add_argument("--room-password", default="", metavar="P")
    _add_passwords(send)


def _add_send_file(commands: Any, common: argparse.ArgumentParser) -> None:
    send = commands.add_parser(
        "send-file",
        parents=[common],
        help="send files to a user or the server, and leave",
        description="Log in, send each FILE, show how it goes, and log out. What a "
        "lost connection has not taken goes on by itself when it is back.",
    )
    send.add_argument("file", nargs="+", metavar="FILE")
    send.add_argument("--user", required=True, type=arguments.encodable, metavar="NAME")
    send.add_argument(
        "--to",
        required=True,
        type=arguments.receiver,
        metavar="ID|server",
        help="user id; of a guest: --to=-2; server: for its business server",
    )
    send.add_argument(
        "--limit",
        type=arguments.bitrate,
        default=0,
        metavar="BITS",
        help="a second, as 500k or 2M; as fast as it goes if not given",
    )
    send.add_argument(
        "--guid",
        type=arguments.encodable,
        metavar="GUID",
        help="names the task (TransFileEx): given again, only the rest is sent",
    )
    send.add_argument(
        "--text",
        type=arguments.encodable,
        default="",
        metavar="TEXT",
        help="for the receiver, with --guid",
    )
    _add_passwords(send)


def _add_nettest(commands: Any, common: argparse.ArgumentParser) -> None:
    nettest = commands.add_parser(
        "nettest",
        parents=[common],
        help="measure loss, delay and jitter of UDP",
        description="Send a UDP trace through the server and say what became of it: "
        "to the server and back, or with --peer to a member who runs this too.",
    )
    nettest.add_argument("--room", required=True, type=arguments.room, metavar="N|NAME")
    nettest.add_argument("--room-password", default="", metavar="P")
    nettest.add_argument(
        "--peer",
        type=arguments.user_id,
        metavar="ID",
        help="user id; of a guest: --peer=-2",
    )
    nettest.add_argument(
        "--wait",
        type=arguments.seconds,
        default=60.0,
        metavar="N",
        help="seconds for that user to come; 60 if not given",
    )
    nettest.add_argument(
        "--size",
        type=arguments.number(64, 1200),
        default=1000,
        metavar="BYTES",
        help="of a datagram, 64 to 1200; 1000 if not given",
    )
    nettest.add_argument(
        "--rate",
        type=arguments.rate,
        default=500_000,
        metavar="BITS",
        help="a second, as 500k or 2M; 500k if not given",
    )
    nettest.add_argument(
        "--seconds",
        type=arguments.seconds,
        default=10.0,
        metavar="N",
        help="10 if not given",
    )
    nettest.add_argument("--user", default="nettest", metavar="NAME")
    _add_passwords(nettest)


def _add_udpcheck(commands: Any) -> None:
    udpcheck = commands.add_parser(
        "udpcheck",
        help="say whether UDP gets through, and what the NAT does",
        description="Send plain STUN requests to the server's UDP port. Exit code 3: "
        "nothing was answered.",
    )
    udpcheck.add_argument(
        "address",
        type=arguments.udp_address,
        metavar="HOST[:PORT]",
        help=f"UDP port {arguments.UDP_PORT} by default",
    )
    udpcheck.add_argument("--json", action="store_true", help="one JSON object")
