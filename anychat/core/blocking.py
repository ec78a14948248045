"""Blocked addresses: who may not connect, kept while the server runs.

An address is blocked as it is, or by a pattern in which ``*`` stands for any
run of characters: ``192.0.2.*``, ``2001:db8:*``, ``*``.  IPv6 addresses are
compared in their shortest spelling (RFC 5952), to patterns too.
"""

import ipaddress
import re

from anychat.codes import ResultCode
from anychat.core.changes import AddressBlocked, AddressUnblocked, Change
from anychat.core.effects import ShowBlocked
from anychat.core.state import State
from anychat.core.turn import ChangeTable, Turn
from anychat.errors import Refused

#: Addresses and patterns, and patterns among them: each is tried on whoever
#: connects.
MAX_BLOCKED, MAX_PATTERNS = 10_000, 500
#: Characters of one.
MAX_LENGTH = 64

_PATTERN = re.compile(r"[0-9a-fA-F.:*]+")


def normal(text: str) -> str:
    """An address or a pattern in the spelling that counts.

    :raises Refused: 21 it is neither.
    """
    text = text.strip().lower()
    if len(text) > MAX_LENGTH or not _PATTERN.fullmatch(text):
        raise Refused(ResultCode.FUNCOPTERROR)
    if "*" in text:
        return re.sub(r"\*+", "*", text)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Refused(ResultCode.FUNCOPTERROR) from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def is_blocked(state: State, address: str) -> bool:
    """Whether who comes from that address may not connect."""
    if not state.blocked:
        return False
    address = address.partition("%")[0]
    return address in state.blocked or any(
        _matches(pattern, address) for pattern in state.blocked_patterns
    )


def block(turn: Turn, text: str) -> None:
    """Block an address or a pattern; sessions that are there go on.

    :raises Refused: 21, or 23 there are too many.
    """
    pattern, state = normal(text), turn.state
    if pattern in state.blocked:
        return
    if len(state.blocked) >= MAX_BLOCKED or (
        "*" in pattern and len(state.blocked_patterns) >= MAX_PATTERNS
    ):
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    turn.changes.append(AddressBlocked(pattern))
    turn.effects.append(ShowBlocked(pattern, True))


def unblock(turn: Turn, text: str) -> None:
    """Unblock what was blocked so, and everything that the pattern takes in.

    :raises Refused: 21, or 9 nothing of it is blocked.
    """
    pattern = normal(text)
    found = [
        blocked
        for blocked in turn.state.blocked
        if blocked == pattern or _matches(pattern, blocked)
    ]
    if not found:
        raise Refused(ResultCode.DATANOTEXIST)
    turn.changes.extend(AddressUnblocked(blocked) for blocked in found)
    turn.effects.extend(ShowBlocked(blocked, False) for blocked in found)


def _matches(pattern: str, text: str) -> bool:
    """Whether the pattern takes in the whole text; in time that grows with both."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(text) - len(last) >= at and text.endswith(last)


def _apply_blocked(state: State, change: AddressBlocked) -> None:
    state.blocked[change.pattern] = None
    if "*" in change.pattern:
        state.blocked_patterns[change.pattern] = None


def _apply_unblocked(state: State, change: AddressUnblocked) -> None:
    del state.blocked[change.pattern]
    state.blocked_patterns.pop(change.pattern, None)


def snapshot(state: State) -> list[Change]:
    """The changes that bring the blocked addresses back."""
    return [AddressBlocked(pattern) for pattern in state.blocked]


#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    AddressBlocked: _apply_blocked,
    AddressUnblocked: _apply_unblocked,
}
