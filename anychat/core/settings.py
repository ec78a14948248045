"""What the operator decides about the core."""

from dataclasses import dataclass

from anychat.business_messages import Arbiter
from anychat.messages import ServerParameters
from anychat.terms import Terms


@dataclass(frozen=True, slots=True)
class HallSettings:
    """The settings of manual chapter 3 that the core obeys."""

    demo_mode: bool
    """DemoMode: rooms 1 and 2 exist, and any name with any password signs in."""
    allow_guest_login: bool
    """AllowGuestLogin: users without a password may sign in outside demo mode."""
    close_front_link: bool
    """CloseFrontLink: a user's new login ends the old session, else it is refused."""
    auto_add_room: bool
    """AutoAddRoom: a room that does not exist is made by whoever enters it first."""
    max_users_per_room: int
    """MaxUsersPerRoom."""
    hold_time: float = 30.0
    """Seconds that a session is kept after its link was lost."""
    parameters: ServerParameters = ServerParameters(
        *(320, 240, 15, 40, 60000, 1, 3, 3),
        *(16000, 1, 16, 11, 15850),
    )
    """The default media parameters of clients."""
    ring_time: float = 30.0
    """Seconds in which a video call must be answered."""
    first_call_room: int = 1
    """VideoCallStartRoomId: first room number of video calls; 0: 1, and no number
    is used twice."""
    max_file_size: int = 4 << 30
    """Bytes of a file that is transferred at most."""
    max_profile_bytes: int = 64 << 20
    """What business servers may say about all users together."""
    max_names: int = 100_000
    """Names whose ids are remembered; beyond it the longest offline is forgotten."""
    terms: Terms = Terms()
    """What the licence allows until `TermsChanged` says else."""
    verifier: Arbiter = Arbiter.NOBODY
    """Who decides about named logins until `ArbitersChanged` says else."""
    admitter: Arbiter = Arbiter.NOBODY
    """Who decides about entering rooms until `ArbitersChanged` says else."""
