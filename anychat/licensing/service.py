"""Sees to the licence while the server runs, and tells the core what it allows.

At the start the files and whatever the machine itself can tell are looked at
before any port is opened; a name service and a USB key are asked meanwhile, and
until they have answered it counts what the run before has found.  From then on

- the files are watched, so that a new licence is taken up without a restart;
- each kind of binding is checked now and then, see `INTERVALS`;
- once a minute, or sooner while something is wrong, it is judged what follows of
  it all, dates included.

Whatever may block is done in a thread.  One that does not come back, of a file
system that hangs, holds up the looks and checks, and neither the dates nor the
reactor: it is judged without them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.licensing import log_lines
from anychat.licensing.check import SUBJECTS, Host, check_binding
from anychat.licensing.findings import Finding, LicenceError
from anychat.licensing.judge import (
    END_OF_TIME,
    Memory,
    counted,
    doubted,
    judge,
    remember,
    resumed,
)
from anychat.licensing.keeping import StateKeeper
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    HardwareBinding,
    Licence,
    UKeyBinding,
)
from anychat.licensing.licence_files import LicenceFiles, Loaded, Stamp
from anychat.licensing.state_file import STATE_NAME, machine_id
from anychat.licensing.status import DEMO_STATUS, UNSEEN_STATUS, Status
from anychat.terms import Terms

#: Seconds between two looks at the files.
LOOK = 3.0
#: Seconds between two checks of a binding.
INTERVALS: dict[type[Binding], float] = {
    HardwareBinding: 3600.0,
    DomainBinding: 600.0,
    AddressBinding: 600.0,
    UKeyBinding: 60.0,
}
#: Seconds after which a check that failed is tried again, if that is sooner.
RETRY = 60.0
#: The same while no licence was good yet: a machine may still be starting; and the
#: pause between two judgements while something is wrong.
FIRST_RETRY = 10.0
#: Seconds between two judgements while all is well.
JUDGING = 60.0
#: Seconds after which a check counts as failed that does not come back, or that is
#: due and cannot begin; more than any check takes by itself.
OVERDUE = 120.0


@dataclass(frozen=True, slots=True)
class LicenceSettings:
    """What the operator decides about the licence."""

    directory: Path
    """Where the configuration is, and AnyChat.cer."""
    licence_ca: Path | None
    """LicenseCA; None: what came with the package is trusted alone."""
    version: str
    """Of this server."""
    demo: bool = False
    """DemoMode: no licence is looked at."""
    show_content: bool = False
    """ExternFlags=64."""


@dataclass(slots=True)
class _Check:
    """A binding, and what was found about it."""

    binding: Binding
    due: float
    found: Finding | None = None
    """As it was found by the latest check; None: there was none yet."""
    counts: Finding | None = None
    """As it counts."""


class LicenceService(Service):
    """Owns the licence.

    :param clock: its ``seconds`` must be monotonic.
    :param on_terms: is told what the core must obey, at the start and whenever
        that changes.
    :param log: the server's log, a line at a time.
    :param wall: what the host's clock shows.
    """

    _failures = Logger()

    def __init__(
        self,
        settings: LicenceSettings,
        clock: IReactorTime,
        host: Host,
        on_terms: Callable[[Terms], object],
        log: Callable[[str], None],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._host = host
        self._on_terms = on_terms
        self._log = log
        self._wall = lambda: min(wall(), END_OF_TIME)
        self._files = LicenceFiles(
            settings.directory, settings.licence_ca, settings.version
        )
        self._keeper = StateKeeper(self._files.state_path, host.in_thread, log)
        self._machine = ""
        self.status = UNSEEN_STATUS
        """How the server stands."""
        self._logged: Status | None = None
        self._terms: Terms | None = None
        self._read: Licence | LicenceError | None = None
        self._note = ""
        self._checks: list[_Check] = []
        self._memory = Memory()
        self._kept: Memory | None = None
        """What the run before has left, until it was made use of."""
        self._anchor = self._wall(), clock.seconds()
        self._stamp: Stamp = ()
        """Of the files as they were read."""
        self._news: Stamp = ()
        """Of files that have changed, and may be changing still."""
        self._state_there = False
        self._judged = -inf
        """When that was done last."""
        self._pause = JUDGING
        """Seconds until it is judged again."""
        self._timer: IDelayedCall | None = None
        self._work: Deferred[Any] | None = None
        """What is under way, one thing after the other."""

    # Service.

    def startService(self) -> None:
        """Look at the licence; blocking, but briefly."""
        super().startService()
        if self._settings.demo:
            self._publish(DEMO_STATUS)
            return
        self._anchor = self._wall(), self._clock.seconds()
        self._machine = machine_id(self._host.root)
        self._take_up(self._files.load(self._machine))
        # What the machine itself can tell does not wait for threads: the ports
        # are about to be opened.
        at_once = replace(self._host, in_thread=maybeDeferred)
        done = [
            self._check(
                one,
                self._host if isinstance(one.binding, UKeyBinding) else at_once,
            )
            for one in self._checks
        ]
        self._work = DeferredList(done)
        self._work.addCallback(self._settle).addBoth(self._worked)
        if self._work is not None:
            self._publish(self._provisional(), silent=True)
        self._timer = self._clock.callLater(LOOK, self._look)

    def stopService(self) -> "Deferred[None]":
        """Stop looking, and keep what was found."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._settings.demo:
            return succeed(None)
        return self._save(force=True)

    # Looking.

    def _look(self) -> None:
        self._timer = self._clock.callLater(LOOK, self._look)
        if self._work is not None:
            self._go_without()
            return
        self._work = self._host.in_thread(self._files.look)
        self._work.addCallback(self._looked).addBoth(self._worked)

    def _worked(self, result: object) -> None:
        if isinstance(result, Failure):
            self._failures.failure("Licence check failed", failure=result)
        self._work = None

    def _go_without(self) -> None:
        """Judge although a look or a check has not come back."""
        now = self._clock.seconds()
        for one in self._checks:
            if now >= one.due + OVERDUE:
                subject, code = SUBJECTS[type(one.binding)]
                text = f"the check has not come back for {OVERDUE:g} seconds"
                one.counts = Finding(code, subject, text, passing=True)
        known = all(one.counts is not None for one in self._checks)
        if known and now >= self._judged + self._pause:
            self._settle()

    def _looked(self, seen: tuple[Stamp, bool]) -> "Deferred[Any] | None":
        """Do what is due, now that it is known what the files are."""
        if not self.running:
            return None
        stamp, state_there = seen
        now = self._clock.seconds()
        wall = self._wall()
        if (
            self._state_there
            and not state_there
            and doubted(self._read, wall, self._memory)
        ):
            # The operator's way to forgive a clock that was wrong.
            self._log(f"{STATE_NAME} was deleted: the clock is believed again")
            self._memory, self._anchor = Memory(), (wall, now)
            self._judged = -inf
        self._state_there = state_there
        judging = now >= self._judged + self._pause
        if stamp != self._stamp:
            # Somebody may be writing yet.
            reading = stamp == self._news
            self._news = stamp
        else:
            reading = isinstance(self._read, LicenceError) and judging
        if reading:
            read = self._host.in_thread(self._files.load, self._machine)
            return read.addCallback(self._loaded)
        due = [one for one in self._checks if now >= one.due]
        if due:
            return self._check_these(due)
        if judging:
            self._settle()
        return None

    def _loaded(self, loaded: Loaded) -> "Deferred[Any] | None":
        if not self.running:
            return None
        self._take_up(loaded)
        return self._check_these([one for one in self._checks if one.found is None])

    def _check_these(self, due: list[_Check]) -> "Deferred[Any]":
        return DeferredList([self._check(one, self._host) for one in due]).addCallback(
            lambda _: self._settle() if self.running else None
        )

    def _take_up(self, loaded: Loaded) -> None:
        """Work with these files from now on."""
        before, read = self._read, loaded.read
        self._stamp = self._news = loaded.stamp
        self._read = read
        if loaded.fault is not None and str(before) != str(read):
            self._failures.failure("The licence met a fault", failure=loaded.fault)
        if loaded.note and loaded.note != self._note:
            self._log(f"Warning:{loaded.note}")
        self._note = loaded.note
        if isinstance(read, LicenceError):
            self._checks = []
            return
        if isinstance(before, Licence) and before.digest == read.digest:
            return
        if self._settings.show_content:
            for line in log_lines.content(read):
                self._log(line)
        now = self._clock.seconds()
        self._checks = [_Check(binding, now) for binding in read.grant.bindings]
        if not self._memory.digest:
            self._kept = loaded.kept
            self._state_there = loaded.kept.digest != ""

    # Checking.

    def _check(self, one: _Check, host: Host) -> "Deferred[None]":
        """Check a binding."""

        def found(finding: Finding) -> None:
            previous = None if one.found is None else (one.found,)
            (one.counts,) = counted((finding,), previous)
            one.found = finding
            if self.running and one.counts.ok and not finding.ok:
                self._log(log_lines.doubt(finding))
            wait = INTERVALS[type(one.binding)]
            if not finding.ok:
                known = self._memory.granted is not None
                wait = min(wait, RETRY if known else FIRST_RETRY)
            one.due = self._clock.seconds() + wait

        return check_binding(one.binding, host).addCallback(found)

    # Judging.

    def _settle(self, _: object = None) -> None:
        """Judge what is known, tell the core and the log, keep what matters."""
        if not self.running:
            return
        read = self._read
        assert read is not None
        findings = [one.counts for one in self._checks if one.counts is not None]
        now, began = self._wall(), self._anchor
        if self._kept is not None:
            self._memory = resumed(self._kept, read, findings, now)
            self._kept = None
        before = self._memory
        reckoned = began[0] + timedelta(seconds=self._clock.seconds() - began[1])
        self._memory = remember(self._memory, read, findings, now, reckoned)
        if self._memory.digest != before.digest:
            self._anchor = now, self._clock.seconds()
        elif before.leap is not None and self._memory.leap is None:
            # Nothing is counted from a time that was not believed.
            assert self._memory.clock is not None
            self._anchor = self._memory.clock, self._clock.seconds()
        self._judged = self._clock.seconds()
        status = judge(read, findings, now, self._memory)
        # A clock that is put right, or a file, is soon noticed.
        self._pause = FIRST_RETRY if status.code else JUDGING
        due = [one.due for one in self._checks] + [self._judged + self._pause]
        seconds = max(0.0, min(due) - self._judged)
        self._publish(replace(status, next_check=now + timedelta(seconds=seconds)))
        self._save()

    def _provisional(self) -> Status:
        """How it stands until everything was asked for the first time."""
        read, kept = self._read, self._kept
        assert isinstance(read, Licence)
        now = self._wall()
        pending = Finding(
            ResultCode.CERTVERIFYFAILED,
            "licence",
            "the licence is being checked",
            passing=True,
        )
        before = resumed(kept or Memory(), read, (pending,), now)
        if before.granted is not None and before.failing is None:
            # As the run before has found it.
            pending = replace(pending, code=ResultCode.SUCCESS)
        findings = [
            one.counts or replace(pending, subject=SUBJECTS[type(one.binding)][0])
            for one in self._checks
        ]
        memory = resumed(kept or Memory(), read, findings, now)
        memory = remember(memory, read, findings, now)
        return judge(read, findings, now, memory)

    def _publish(self, status: Status, *, silent: bool = False) -> None:
        self.status = status
        if status.terms != self._terms:
            self._terms = status.terms
            self._on_terms(status.terms)
        if silent:
            return
        for line in log_lines.news(self._logged, status):
            self._log(line)
        self._logged = status

    # Keeping.

    def _save(self, *, force: bool = False) -> "Deferred[None]":
        """Write the state file if there is something to keep, and it is time to."""
        memory = self._memory
        if memory.granted is None or memory.forged or self._kept is not None:
            return succeed(None)

        def done(written: bool) -> None:
            self._state_there = self._state_there or written

        return self._keeper.keep(
            memory, self._machine, self._clock.seconds(), force=force
        ).addCallback(done)
