"""What the licence lets the core do.

Made of a `licensing` verdict and handed to the core, which knows nothing of
certificates: how many users, which functions, and whether anybody new comes in.
"""

from dataclasses import dataclass
from enum import StrEnum

from anychat.codes import LicenceMode, ResultCode

#: Users in demo mode; beyond them logins are refused with 105.
DEMO_USERS = 50


class Feature(StrEnum):
    """A function that a licence grants."""

    DISTRIBUTED = "distributed"
    """Business servers on other machines (manual 2.7)."""
    STANDBY = "standby"
    """A second server that takes over (manual 2.8)."""
    RECORDING = "recording"
    """Recording on the server."""
    CLUSTER = "cluster"
    """Several core servers as one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the core obeys; the default asks for nothing."""

    mode: LicenceMode = LicenceMode.LICENSED
    max_users: int = 0
    """Signed-in users at most; 0: any number."""
    login_refusal: ResultCode = ResultCode.SUCCESS
    """Why nobody new may sign in; 0: they may.  Signed-in users stay."""
    entry_refusal: ResultCode = ResultCode.SUCCESS
    """Why signed-in users may neither enter rooms nor call; 0: they may.  Who is
    in a room or a call stays there."""
    features: frozenset[str] = frozenset()
    """Values of `Feature`, and others of later versions."""

    @property
    def overflow(self) -> ResultCode:
        """What a login beyond `max_users` is refused with."""
        if self.mode is LicenceMode.DEMO:
            return ResultCode.CONNECT_FUNCLIMIT
        return ResultCode.CONNECT_OVERFLOW


#: Nobody may do anything: no licence was seen.
NO_TERMS = Terms(
    login_refusal=ResultCode.CERTVERIFYFAILED,
    entry_refusal=ResultCode.CERTVERIFYFAILED,
)

#: Without a licence, by the operator's choice (DemoMode=1).
DEMO_TERMS = Terms(LicenceMode.DEMO, DEMO_USERS)
