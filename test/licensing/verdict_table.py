"""The verdict tables of docs/licensing.md, made of what the code does.

``python -m test.licensing.verdict_table`` writes them anew.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from anychat.codes import ResultCode
from anychat.licensing.findings import Finding, LicenceError
from anychat.licensing.judge import (
    GRACE,
    LEAP_TRIAL,
    SET_BACK,
    Memory,
    counted,
    judge,
    remember,
    resumed,
)
from anychat.licensing.licence import Licence
from anychat.licensing.status import Status
from test.licensing.cases import GOOD, LICENCE, NOW
from test.licensing.worlds import (
    CHANGES,
    KINDS,
    SMALL_CHANGES,
    WHOLE_HARDWARE,
    Change,
    Kind,
    NotThere,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "licensing.md"
COMMAND = "python -m test.licensing.verdict_table"
BEGIN = f"<!-- Made by `{COMMAND}`: -->"
END = "<!-- so far. -->"

_INTERVAL = timedelta(minutes=10)
_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True)
class Case:
    """What the server finds from now on, of a licence that was in order."""

    title: str
    licence: Licence
    before: tuple[Finding, ...]
    """What it found of the bindings before."""
    read: Licence | LicenceError
    found: tuple[Finding, ...]
    now: datetime = NOW
    seen: datetime = NOW
    """What its clock has shown so far."""

    def first(self) -> "tuple[Status, ...]":
        """How it stands if it has never been well with this licence."""
        return self._go_on(Memory(), None, self.now)

    def at_start(self) -> "tuple[Status, ...]":
        """How it stands if it starts, and was well when it ran before."""
        memory = Memory(self.licence.digest, clock=self.seen, good=self.seen)
        memory = resumed(memory, self.read, self.found, self.now)
        return self._go_on(memory, None, self.now)

    def running(self) -> "tuple[Status, ...]":
        """How it stands if it was well until then."""
        memory = Memory()
        for now in self.seen - LEAP_TRIAL, self.seen:
            memory = remember(memory, self.licence, self.before, now)
        return self._go_on(memory, self.before, self.seen)

    def _go_on(
        self, memory: Memory, previous: Sequence[Finding] | None, began: datetime
    ) -> "tuple[Status, ...]":
        """How it stands at the first check, at the second and a day later.

        :param began: what the clock would show now if nobody had set it.
        """
        stands = []
        for after in (_MOMENT, _INTERVAL, _INTERVAL + GRACE):
            now = self.now + after
            found = self.found
            if previous is not None and len(previous) == len(found):
                found = counted(found, previous)
            memory = remember(memory, self.read, found, now, began + after)
            stands.append(judge(self.read, found, now, memory))
            previous = self.found
        return tuple(stands)


def logins(stands: Sequence[Status]) -> str:
    """What becomes of new logins: the only ones that there are after a start."""
    return _story([stand.terms.login_refusal for stand in stands], stands)


def outcome(stands: Sequence[Status]) -> str:
    """The same, and of entries and calls of signed-in users where it is another."""
    entries = _story([stand.terms.entry_refusal for stand in stands], stands)
    if entries == logins(stands):
        return entries
    return f"logins: {logins(stands)}; rooms and calls: {entries}"


def _story(refusals: list[ResultCode], stands: Sequence[Status]) -> str:
    if not any(refusals):
        return "goes on"
    if all(refusals):
        return f"refused ({refusals[0]:d})"
    assert not any(refusals[:2]), refusals
    once = stands[0].code == ResultCode.SUCCESS
    return f"24 h{' after the second check' if once else ''}, then refused " + (
        f"({refusals[-1]:d})"
    )


def look(kind: Kind, change: Change) -> Case | None:
    """What is found after a change; None: there is no such part."""
    with tempfile.TemporaryDirectory() as root:
        world = kind.world(Path(root))
        bindings = (kind.bind(world),)
        try:
            change.happen(world)
        except NotThere:
            return None
        found = world.look(bindings)
    licence = replace(LICENCE, grant=replace(LICENCE.grant, bindings=bindings))
    return Case("", licence, _well(kind), licence, tuple(found))


@cache
def _well(kind: Kind) -> tuple[Finding, ...]:
    """What is found as long as nothing has happened."""
    with tempfile.TemporaryDirectory() as root:
        world = kind.world(Path(root))
        found = tuple(world.look((kind.bind(world),)))
    assert all(one.ok for one in found), found
    return found


def _cell(case: Case | None) -> str:
    if case is None:
        return "-"
    [finding] = case.found
    seen = "ok" if finding.ok else f"**{finding.code:d}**"
    if finding.subject == "hardware":
        matching, _, total = finding.text.partition(" match")[0].partition(" of ")
        seen += f" {matching}/{total}"
    return seen


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield _row(*("---" for _ in titles))


def certificate_cases() -> Iterator[Case]:
    """Trouble with the certificate and with the clock."""
    for code, title in (
        (ResultCode.TRANSFILE_ZEROLEN, "`AnyChat.cer` is missing or empty"),
        (ResultCode.CERTFILE_GETINFOFAILED, "it cannot be read, or is too large"),
        (ResultCode.CERTFILE_DECODEFAIL, "it is damaged or was altered"),
        (ResultCode.CERTFILE_HDSIGFAIL, "its hardware binding cannot be used"),
        (ResultCode.CERTFILE_DOMAINFAIL, "its domain binding cannot be used"),
        (ResultCode.CERTFILE_UKEYFAIL, "its UKey binding cannot be used"),
        (ResultCode.CERTFILE_IPADDRFAIL, "its address binding cannot be used"),
        (ResultCode.CERTVERIFYFAILED, "another CA's, revoked, of another version"),
    ):
        yield Case(title, LICENCE, GOOD, LicenceError(code, ""), ())
    end = LICENCE.not_after
    yield Case("it has expired", LICENCE, GOOD, LICENCE, GOOD, end, end - _INTERVAL)
    early = LICENCE.not_before - 2 * GRACE
    yield Case("it is not valid yet", LICENCE, GOOD, LICENCE, GOOD, early, early)
    back = NOW - SET_BACK - 30 * GRACE
    yield Case("the clock was set back", LICENCE, GOOD, LICENCE, GOOD, back, NOW)


def _outcomes(case: Case) -> tuple[str, str, str, str]:
    fresh = case.first()
    began = case.seen >= case.licence.not_before
    return (
        f"{(case.at_start() if began else fresh)[0].code:d}",
        logins(fresh),
        logins(case.at_start()) if began else "-",
        outcome(case.running()) if began else "-",
    )


def tables() -> str:
    """The whole text between `BEGIN` and `END`."""
    lines = [BEGIN, ""]
    lines += _head("What happens", *(kind.title for kind in KINDS))
    failed: dict[int, Case] = {}
    for change in CHANGES:
        cases = [look(kind, change) for kind in KINDS]
        lines.append(_row(change.title, *map(_cell, cases)))
        for case in cases:
            if case is not None and not case.found[0].ok:
                known = failed.setdefault(case.found[0].code, case)
                # One code, one outcome: or the second table would lie.
                assert _outcomes(known) == _outcomes(case), (known, case)
    for change in SMALL_CHANGES:
        case = look(WHOLE_HARDWARE, change)
        assert case is not None
        failed[case.found[0].code] = case
    lines += ["", *_head("Code", "What it means", *_TIMES)]
    for case in certificate_cases():
        code, *rest = _outcomes(case)
        lines.append(_row(code, case.title, *rest))
    for number, case in sorted(failed.items()):
        _, *rest = _outcomes(case)
        meaning = _MEANINGS.get(number, ResultCode(number).text)
        lines.append(_row(str(number), meaning, *rest))
    lines += ["", *_head("Several bindings", "Licence for all", "Licence for any")]
    for title, found in (
        ("all match", GOOD),
        ("one does not", (GOOD[0], _BAD)),
        ("none does", (_BAD, _BAD)),
    ):
        cells = []
        for match_all in (True, False):
            licence = replace(
                LICENCE, grant=replace(LICENCE.grant, match_all=match_all)
            )
            case = Case("", licence, GOOD, licence, found)
            cells.append(outcome(case.first()))
        lines.append(_row(title, *cells))
    return "\n".join([*lines, "", END])


_TIMES = ("At the first start", "At a later start", "While it runs")
#: What a code means here, where that is more than the product's.
_MEANINGS = {810: "product UUID, board serial number or machine-id differs"}
_BAD = Finding(ResultCode.CERTFILE_UKEYNOTFOUND, "ukey", "")


def placed(document: str) -> str:
    """The document with the tables of today."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} has no place for the tables")
    return before + tables() + after


if __name__ == "__main__":
    DOCUMENT.write_text(placed(DOCUMENT.read_text("utf-8")), "utf-8")
