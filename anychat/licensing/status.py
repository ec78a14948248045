"""How a server stands as to its licence: a value for the core, the log, ``/health``
and ``/metrics``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from anychat.codes import ResultCode
from anychat.licensing.findings import Finding
from anychat.terms import DEMO_TERMS, NO_TERMS, Terms


class Standing(StrEnum):
    """How a server stands as to its licence."""

    DEMO = "demo"
    """Needs none, by the operator's choice."""
    VALID = "valid"
    GRACE = "grace"
    """A check has failed, after one that had not."""
    EXPIRED = "expired"
    CLOCK_WRONG = "clock-wrong"
    """It was set back, or nobody knows; as if the licence had expired."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands: for the core, the log, ``/health``, ``/metrics``."""

    terms: Terms
    standing: Standing
    code: ResultCode
    """0, or what is wrong: 711, 800 to 862, 28.  Clients hear ``terms`` instead."""
    text: str
    """The same for people, with what to do about it."""
    findings: tuple[Finding, ...] = ()
    """One for each binding, in the licence's order."""
    customer: str = ""
    serial: int = 0
    """Of the certificate."""
    not_after: datetime | None = None
    """When the licence ends."""
    days_left: int | None = None
    """Days until then, begun ones included; 0: it is over."""
    warning: int = 0
    """How many days before the end the warning is that is due; 0: none, or over."""
    grace_ends: datetime | None = None
    """When what is tolerated now ends."""
    contact: datetime | None = None
    """Of a slave: the last one with its master."""
    checked: datetime | None = None
    """When this was found out."""
    next_check: datetime | None = None

    @property
    def facts(self) -> dict[str, object]:
        """As plain values, for JSON."""
        facts: dict[str, object] = {
            "ok": self.code == ResultCode.SUCCESS,
            "standing": self.standing.value,
            "code": int(self.code),
            "text": self.text,
            "login_refusal": int(self.terms.login_refusal),
            "entry_refusal": int(self.terms.entry_refusal),
            "customer": self.customer,
            "serial": f"{self.serial:x}" if self.serial else "",
            "max_users": self.terms.max_users,
            "features": sorted(self.terms.features),
            "days_left": self.days_left,
            "warning": self.warning,
            "findings": [
                {"subject": one.subject, "code": int(one.code), "text": one.text}
                for one in self.findings
            ],
        }
        for name in "not_after", "grace_ends", "contact", "checked", "next_check":
            when: datetime | None = getattr(self, name)
            facts[name] = when and when.isoformat(timespec="seconds")
        return facts


#: Before anything was looked at.
UNSEEN_STATUS = Status(
    NO_TERMS,
    Standing.REFUSED,
    ResultCode.CERTVERIFYFAILED,
    "the licence has not been looked at",
)

#: DemoMode=1.
DEMO_STATUS = Status(
    DEMO_TERMS,
    Standing.DEMO,
    ResultCode.SUCCESS,
    f"demo mode: {DEMO_TERMS.max_users} users, business servers on this host alone",
)
