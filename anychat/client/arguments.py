"""What the arguments of ``anychat-client`` may be: their texts made values.

Each function raises ``ArgumentTypeError``, which says what is wrong with a text.
"""

import argparse
import re
from collections.abc import Callable

from anychat.business_messages import MAX_NAME
from anychat.client.address import parse_address
from anychat.client.trace import LARGEST_RATE, SMALLEST_RATE
from anychat.codes import BUSINESS_SERVER, SELF

#: UDPServicePort, unless the server has another.
UDP_PORT = 8907


def address(text: str) -> tuple[str, int]:
    """Host and TCP port of a server."""
    try:
        return parse_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT"
        ) from None


def udp_address(text: str) -> tuple[str, int]:
    """Host and UDP port of a server."""
    try:
        return parse_address(text, UDP_PORT)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT"
        ) from None


def room(text: str) -> int | str:
    """A room number, or else a name."""
    if not text:
        raise argparse.ArgumentTypeError("a room needs a number or a name")
    encodable(text)
    if re.fullmatch(r"[+-]?\d+", text):
        if not 1 <= int(text) < 1 << 31:
            raise argparse.ArgumentTypeError(f"{text} is no room number")
        return int(text)
    return text


def watch(text: str) -> frozenset[int] | None:
    """The user ids, or None for all."""
    if text == "all":
        return None
    try:
        return frozenset(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 'all' nor user ids with commas between"
        ) from None


def callee(text: str) -> int | str:
    """A user id, or else a name."""
    if not re.fullmatch(r"-?\d+", text):
        encodable(text)
        if not text.strip() or len(text) > MAX_NAME:
            raise argparse.ArgumentTypeError(
                f"a user's name has 1 to {MAX_NAME} characters"
            )
        return text
    callee = user_id(text)
    if callee in (BUSINESS_SERVER, SELF):
        raise argparse.ArgumentTypeError(
            f"{callee} cannot be called: ids of users begin at 1, of guests at -2"
        )
    return callee


def user_id(text: str) -> int:
    """A user id; those of guests are negative."""
    if not re.fullmatch(r"-?\d{1,10}", text) or not -(1 << 31) <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is no user id")
    return int(text)


def receiver(text: str) -> int:
    """A user id, or that of the business server."""
    return BUSINESS_SERVER if text == "server" else user_id(text)


def message(text: str) -> str:
    """A text as long as the server takes it."""
    encodable(text)
    if not 0 < len(text.encode("utf-8", "replace")) <= 16384:
        raise argparse.ArgumentTypeError("a text has 1 to 16384 bytes of UTF-8")
    return text


def encodable(text: str) -> str:
    """Any text that is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None
    return text


def seconds(text: str) -> float:
    """A time that is neither zero nor endless."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def size(text: str) -> tuple[int, int]:
    """Width and height."""
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480")
    return int(match[1]), int(match[2])


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """The function for whole numbers in that range."""

    def number(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number from {lowest} to {highest}"
            )
        return int(text)

    return number


def flags(text: str) -> int:
    """32 bits, in decimal or hexadecimal digits."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|\d{1,10}", text) or int(text, 0) >> 32:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 3 or 0x103")
    return int(text, 0)


def _bits(text: str) -> int:
    """Bits a second, -1 for what is no number of them."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,3})?)([kKmMgG]?)", text)
    factor = {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}
    return round(float(match[1]) * factor[match[2].lower()]) if match else -1


def bitrate(text: str) -> int:
    """Bits a second of a transfer."""
    rate = _bits(text)
    if not 1000 <= rate <= 100_000_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no bit rate such as 500k or 2M")
    return rate


def video_bitrate(text: str) -> int:
    """Bits a second of a picture; 0: the quality decides."""
    rate = _bits(text)
    if not 0 <= rate <= 100_000_000:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no bit rate from 0 to 100M, such as 500k"
        )
    return rate


def rate(text: str) -> int:
    """Bits a second of a UDP trace."""
    rate = _bits(text)
    if not SMALLEST_RATE <= rate <= LARGEST_RATE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no rate from {SMALLEST_RATE // 1000}k to "
            f"{LARGEST_RATE // 1_000_000}M bits a second"
        )
    return rate
