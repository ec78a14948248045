"""What follows of a licence, and of what was found about it.

Pure: the time is an argument, and what earlier checks have left is a `Memory`.
A check is judged in two steps::

    memory = remember(memory, read, findings, now)
    status = judge(read, findings, now, memory)

where ``read`` is what the files gave, a `Licence` or a `LicenceError`, and
``findings`` has one `Finding` for each binding of that licence.

::

    never good --- all well ---> VALID <--- all well --- GRACE
        |                         |  |                     |
     REFUSED (28)                 |  +--- a check fails ---+--- 24 h ---> REFUSED (33)
                                  |
                                  +--- the last day is over ---> EXPIRED (28)
                                  |
                                  +--- the clock was set back ---> CLOCK-WRONG (28)

In GRACE all is as it was with the last licence that was good.  EXPIRED lets
nobody new in; who is signed in may enter rooms and call for another 24 hours.
CLOCK-WRONG is the same for another reason.  Nothing that runs is ever cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from anychat.codes import LicenceMode, ResultCode
from anychat.errors import LocalError
from anychat.licensing.findings import Finding, LicenceError
from anychat.licensing.licence import Licence
from anychat.licensing.status import Standing, Status
from anychat.terms import NO_TERMS, Terms

#: How long a server goes on after a check that failed, or with a licence that
#: is over.
GRACE = timedelta(hours=24)
#: What a clock may go back without being complained of: a machine that takes its
#: hardware's clock for local time begins up to 14 hours off.
SET_BACK = timedelta(hours=24)
#: What a clock may be ahead of the latest time that was seen and be believed at once.
#: Further ahead it is once it has been so for `LEAP_TRIAL`: a hardware clock that is
#: wrong at a start, or a time server that is for a moment, must leave nothing behind.
LEAP = timedelta(hours=24)
LEAP_TRIAL = timedelta(hours=24)
#: What a clock may be behind the latest time that was seen without that being worth a
#: word: of a correction like any other.
CORRECTION = timedelta(minutes=10)
#: How long after its last good check a server that starts is still believed to be the
#: one that it was, if a check fails that may pass: a state file that is put back gives
#: no new time of grace for ever.
REMEMBERED = timedelta(days=7)
#: No clock is taken to show more, so that there is always a time after it.
END_OF_TIME = datetime(9980, 1, 1, tzinfo=UTC)
#: Days before the end at which the operator is warned.
WARNINGS = (30, 7, 1)
#: The same at a slave, whose activation never has more than 30 days left.
SLAVE_WARNINGS = (7, 1)

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the checks so far have left."""

    digest: str = ""
    """Of the licence that all this is about; empty: there was none yet."""
    clock: datetime | None = None
    """The latest time that was seen and believed."""
    leap: datetime | None = None
    """What the clock showed when it was found far ahead of ``clock``."""
    good: datetime | None = None
    """The last check in which all was well."""
    failing: datetime | None = None
    """The first one since then that failed: its time of grace began."""
    back: datetime | None = None
    """When the clock was found to be set back, by ``clock``."""
    forged: bool = False
    """The memory of earlier runs was tampered with, and counts as set back."""
    granted: Licence | None = None
    """The last licence that was good; not kept across restarts, see `resumed`."""


def counted(
    fresh: Sequence[Finding], previous: Sequence[Finding] | None
) -> tuple[Finding, ...]:
    """The findings as they count: a passing failure needs to come twice in a row.

    :param previous: what was found by the check before, as it was found; None:
        there was none, and everything counts.
    """
    if previous is None:
        return tuple(fresh)
    return tuple(
        replace(
            now,
            code=ResultCode.SUCCESS,
            text=f"{now.text}.(errorcode={now.code:d}) "
            "This counts only if the next check finds it too",
        )
        if now.passing and not now.ok and before.ok
        else now
        for now, before in zip(fresh, previous, strict=True)
    )


def resumed(
    memory: Memory,
    read: Licence | LicenceError,
    findings: Sequence[Finding],
    now: datetime,
) -> Memory:
    """The memory of the run before, for the first check of this one.

    What fails at a start fails at once, unless its grace was running already, or the
    failure may pass and all was well not long ago: a name service is often not there
    when a machine starts.
    """
    if (
        isinstance(read, Licence)
        and read.digest == memory.digest
        and memory.good is not None
        and not memory.forged
        and (
            memory.failing is not None
            or all(
                one.ok or (one.passing and now - memory.good <= REMEMBERED)
                for one in findings
            )
        )
    ):
        return replace(memory, granted=read)
    return replace(memory, granted=None)


def remember(
    memory: Memory,
    read: Licence | LicenceError,
    findings: Sequence[Finding],
    now: datetime,
    reckoned: datetime | None = None,
) -> Memory:
    """What is to be remembered after a check.

    :param now: the host's clock.
    :param reckoned: what it would show if nobody had set it since the server
        started, or since it has this licence.
    """
    now = min(now, END_OF_TIME)
    if reckoned is not None:
        reckoned = min(reckoned, END_OF_TIME)
    if isinstance(read, Licence) and read.digest != memory.digest:
        # Its first day is the one time that is certain.
        floor = min(read.not_before, now)
        fresh = _clocked(Memory(read.digest, floor), now, None)
        if _fault(read, findings, now, fresh) is None:
            return replace(fresh, good=fresh.clock, granted=read)
        if not memory.digest:
            return fresh
    memory = _clocked(memory, now, reckoned)
    if _fault(read, findings, now, memory) is None:
        assert isinstance(read, Licence)
        return replace(memory, good=memory.clock, failing=None, granted=read)
    if memory.granted is None or memory.failing is not None:
        return memory
    if _own_fault(read, findings) is None and (
        isinstance(read, Licence) and read.digest == memory.digest
    ):
        # Only its time is over, or its clock is wrong; that has rules of its own.
        return memory
    return replace(memory, failing=_latest(now, memory.clock))


def judge(
    read: Licence | LicenceError,
    findings: Sequence[Finding],
    now: datetime,
    memory: Memory,
) -> Status:
    """How the server stands.

    :param memory: after `remember`.
    """
    now = min(now, END_OF_TIME)
    findings = tuple(findings)
    fault = _fault(read, findings, now, memory)
    licence = memory.granted or (read if isinstance(read, Licence) else None)
    if licence is None:
        assert fault is not None
        return Status(
            NO_TERMS,
            Standing.REFUSED,
            fault.code,
            fault.text,
            findings,
            checked=now,
        )
    clock = _latest(now, memory.clock)
    terms = Terms(
        LicenceMode.LICENSED,
        licence.grant.max_users,
        features=frozenset(licence.grant.features),
    )
    status = Status(
        terms,
        Standing.VALID,
        ResultCode.SUCCESS,
        f"licence of {licence.grant.customer}, {_users(terms.max_users)}, "
        f"until {_date(licence.not_after)}",
        findings,
        licence.grant.customer,
        licence.serial,
        licence.not_after,
        max(0, -((clock - licence.not_after) // _DAY)),
        _warning(licence, licence.not_after - clock),
        contact=licence.contact,
        checked=now,
    )
    if fault is None:
        return status
    over = memory.back or (licence.not_after if clock >= licence.not_after else None)
    if over is not None:
        if memory.granted is not None and memory.back is None:
            # Whatever else is wrong by now.
            fault = _dates(licence, now, memory) or fault
        ends = over + GRACE
        return replace(
            status,
            terms=replace(
                terms,
                login_refusal=ResultCode.CERTVERIFYFAILED,
                entry_refusal=ResultCode.SUCCESS
                if clock < ends
                else ResultCode.CERTVERIFYFAILED,
            ),
            standing=Standing.CLOCK_WRONG
            if doubted(read, now, memory)
            else Standing.EXPIRED,
            code=fault.code,
            text=fault.text,
            grace_ends=ends if clock < ends else None,
        )
    if memory.granted is None or memory.failing is None:
        return replace(
            status,
            terms=_refusing(terms, ResultCode.CERTVERIFYFAILED),
            standing=Standing.REFUSED,
            code=fault.code,
            text=fault.text,
        )
    ends = memory.failing + GRACE
    if clock < ends:
        return replace(
            status,
            standing=Standing.GRACE,
            code=fault.code,
            text=f"{fault.text}; new logins are taken until {_time(ends)}",
            grace_ends=ends,
        )
    return replace(
        status,
        terms=_refusing(terms, ResultCode.CERTFAILSECOND),
        standing=Standing.REFUSED,
        code=fault.code,
        text=f"{fault.text}; so it has been since {_time(memory.failing)}",
    )


def doubted(read: Licence | LicenceError | None, now: datetime, memory: Memory) -> bool:
    """Whether it is the clock that keeps a licence from being good: what it shows
    contradicts what it has shown.

    :param memory: after `remember`.
    """
    licence = memory.granted or read
    return memory.back is not None or (
        isinstance(licence, Licence) and _has_run_ahead(licence, now, memory)
    )


def _fault(
    read: Licence | LicenceError,
    findings: Sequence[Finding],
    now: datetime,
    memory: Memory,
) -> Finding | None:
    """What is wrong, the clock and the dates first; None: all is well."""
    if isinstance(read, Licence):
        if memory.digest == read.digest:
            if memory.forged:
                return Finding(
                    ResultCode.CERTFILE_EXPIRED,
                    "clock",
                    "AnyChat.licence-state was altered, and nobody knows what the "
                    "clock showed before; put a new licence there, or delete that file",
                )
            if memory.back is not None:
                assert memory.clock is not None
                return Finding(
                    ResultCode.CERTFILE_EXPIRED,
                    "clock",
                    f"the clock was set back: it shows {_time(now)}, and has shown "
                    f"{_time(memory.clock)}; set it right, or if it was wrong then, "
                    "put a new licence there, or delete AnyChat.licence-state",
                )
        dates = _dates(read, now, memory)
        if dates is not None:
            return dates
    return _own_fault(read, findings)


def _own_fault(
    read: Licence | LicenceError, findings: Sequence[Finding]
) -> Finding | None:
    """What is wrong whatever the time is."""
    if isinstance(read, LicenceError):
        return Finding(read.code, "certificate", read.text)
    if len(findings) != len(read.grant.bindings):
        raise LocalError(f"{len(findings)} findings of {len(read.grant.bindings)}")
    failed = [one for one in findings if not one.ok]
    if failed and (read.grant.match_all or len(failed) == len(findings)):
        return failed[0]
    return None


def _dates(licence: Licence, now: datetime, memory: Memory) -> Finding | None:
    """What is wrong with its dates."""
    clock = _latest(now, memory.clock)
    if _has_run_ahead(licence, now, memory):
        text = (
            f"the licence of {licence.grant.customer} ends on "
            f"{_time(licence.not_after)}; the clock shows {_time(now)}, but has "
            f"shown {_time(clock)}, after that; if it is right now and was wrong then, "
            "delete AnyChat.licence-state, if not, set it right"
        )
    elif clock >= licence.not_after:
        advice = "put a renewed AnyChat.cer there"
        if licence.contact is not None:
            advice = (
                f"the last contact with the master was on {_time(licence.contact)}, "
                "bring it back, with a licence that has not expired itself"
            )
        text = (
            f"the licence of {licence.grant.customer} expired on "
            f"{_time(licence.not_after)}, and the clock shows {_time(clock)}; {advice}"
        )
    elif now < licence.not_before:
        text = (
            f"the licence of {licence.grant.customer} begins on "
            f"{_time(licence.not_before)}, and the clock shows {_time(now)}; wait for "
            "that day, or set the clock right"
        )
    else:
        return None
    return Finding(ResultCode.CERTFILE_EXPIRED, "certificate", text)


def _has_run_ahead(licence: Licence, now: datetime, memory: Memory) -> bool:
    """Whether a licence is over by what the clock has shown alone."""
    return (
        memory.clock is not None
        and now < licence.not_after <= memory.clock
        and now < memory.clock - CORRECTION
    )


def _clocked(memory: Memory, now: datetime, reckoned: datetime | None) -> Memory:
    """The memory with the clock's highest time, and whether it was set back."""
    clock, leap = memory.clock or now, None
    if reckoned is not None and reckoned <= clock + LEAP:
        # Otherwise it was counted from a leap.
        clock = max(clock, reckoned)
    if now <= clock + LEAP:
        clock = max(clock, now)
    else:
        leap = memory.leap
        if leap is None or now < leap - SET_BACK:
            leap = now
        if now >= leap + LEAP_TRIAL:
            clock, leap = now, None
    back, failing = None, memory.failing
    if memory.forged or now < clock - SET_BACK:
        back = memory.back or clock
    if failing is not None:
        # It may have been noted in a leap that is undone.
        failing = min(failing, max(now, clock))
    return replace(memory, clock=clock, leap=leap, back=back, failing=failing)


def _latest(first: datetime, *others: datetime | None) -> datetime:
    return max([first, *(other for other in others if other is not None)])


def _refusing(terms: Terms, code: ResultCode) -> Terms:
    return replace(terms, login_refusal=code, entry_refusal=code)


def _warning(licence: Licence, left: timedelta) -> int:
    warnings = WARNINGS if licence.contact is None else SLAVE_WARNINGS
    due = [days for days in warnings if timedelta() < left <= days * _DAY]
    return min(due, default=0)


def _users(number: int) -> str:
    return f"{number} users" if number else "any number of users"


def _date(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
