"""What the pure core costs: microseconds for one command, decided and folded.

Run: ``python benchmarks/core_commands.py``.  Nothing is sent: effects are made
and thrown away.  Each figure is the best of five runs.
"""

import platform
from collections.abc import Callable, Iterator
from itertools import count
from time import perf_counter

from anychat.business_messages import Arbiter, Verdict
from anychat.codes import DeviceType, ResultCode, StreamKind
from anychat.core.commands import (
    ArbitersChanged,
    Command,
    LinkLogin,
    LinkLost,
    LinkResumed,
    RoomEntryPrepared,
    SessionMessage,
    UserVerified,
)
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.ids import LinkId, SessionId, Ssrc
from anychat.messages import (
    CloseStream,
    EnterRoom,
    EnterRoomByName,
    LeaveRoom,
    Login,
    Logout,
    Message,
    OpenStream,
    SendText,
    StreamFormat,
    TransBuffer,
    UserCameraControl,
)

ONLINE = 10_000
MEMBERS = 200
ROUNDS = 2_000

SETTINGS = HallSettings(
    demo_mode=True,
    allow_guest_login=True,
    close_front_link=True,
    auto_add_room=True,
    max_users_per_room=1_000,
)
H264 = StreamFormat(96, 90000, 90000, 320, 240, 15)

ids = count(1)


def login(name: str, password: str) -> LinkLogin:
    """A login under a fresh session id."""
    session = SessionId(next(ids))
    return LinkLogin(
        LinkId(session),
        1,
        Login(name, password),
        session,
        "192.0.2.1",
        DeviceType.LINUX,
        True,
    )


def say(session: SessionId, message: Message) -> SessionMessage:
    """A message that wants an answer."""
    return SessionMessage(session, 1, message, Ssrc(next(ids)))


def run(hall: Hall, command: Command) -> None:
    """Decide and fold one command."""
    for change in hall.decide(command, 1.0).changes:
        hall.apply(change)


def crowd(hall: Hall) -> list[SessionId]:
    """Sign everybody in and fill room 1; the sessions of its members."""
    sessions = []
    for number in range(ONLINE):
        command = login(f"user {number}", "x" if number % 2 else "")
        run(hall, command)
        sessions.append(command.session)
    for session in sessions[:MEMBERS]:
        run(hall, say(session, EnterRoom(1)))
    return sessions


def measure(label: str, make: Callable[[int], Iterator[Command]]) -> None:
    """Time commands that leave the hall as they found it; print the mean."""
    best = float("inf")
    for _ in range(5):
        commands = list(make(ROUNDS))
        start = perf_counter()
        for command in commands:
            run(HALL, command)
        best = min(best, (perf_counter() - start) / len(commands))
    print(f"{best * 1e6:8.1f} us  {label}")


HALL = Hall(SETTINGS)

#: A verdict that lets in, under an id that nobody has.
LET_IN = Verdict(ResultCode.SUCCESS, 2**31 - 1)


def main() -> None:
    """Print one line for each kind of command."""
    sessions = crowd(HALL)
    first, second, outsider, other = (*sessions[:2], *sessions[-2:])

    def come_and_go(password: str) -> Callable[[int], Iterator[Command]]:
        def make(rounds: int) -> Iterator[Command]:
            for number in range(rounds):
                command = login(f"visitor {number % 100}", password)
                yield command
                yield say(command.session, Logout())

        return make

    def verified(rounds: int) -> Iterator[Command]:
        for number in range(rounds):
            command = login(f"visitor {number % 100}", "x")
            yield command
            yield UserVerified(command.session, LET_IN)
            yield say(command.session, Logout())

    def prepared(rounds: int) -> Iterator[Command]:
        for _ in range(rounds):
            yield say(outsider, EnterRoom(1))
            yield RoomEntryPrepared(outsider, 1, LET_IN)
            yield say(outsider, LeaveRoom(1))

    def alternate(
        *messages: Message, by: SessionId = outsider
    ) -> Callable[[int], Iterator[Command]]:
        def make(rounds: int) -> Iterator[Command]:
            for _ in range(rounds):
                for message in messages:
                    yield say(by, message)

        return make

    def break_and_resume(rounds: int) -> Iterator[Command]:
        for _ in range(rounds):
            yield LinkLost(outsider)
            yield LinkResumed(outsider, LinkId(1), "192.0.2.1", False)

    print(f"Python {platform.python_version()}, {ONLINE} users, {MEMBERS} in room 1")
    measure("login or logout, guest", come_and_go(""))
    measure("login or logout, named", come_and_go("x"))
    measure(
        "enter or leave a room alone, by number", alternate(EnterRoom(7), LeaveRoom(7))
    )
    measure(
        "enter or leave a room alone, by name",
        alternate(EnterRoomByName("m"), LeaveRoom(10001)),
    )
    measure(
        f"enter or leave a room of {MEMBERS}", alternate(EnterRoom(1), LeaveRoom(1))
    )
    measure(
        f"text to a room of {MEMBERS}",
        alternate(SendText(-1, False, "hello"), by=first),
    )
    run(HALL, ArbitersChanged(Arbiter.THERE, Arbiter.THERE))
    measure("login, verdict or logout", verified)
    measure(f"enter, verdict or leave a room of {MEMBERS}", prepared)
    run(HALL, ArbitersChanged(Arbiter.NOBODY, Arbiter.NOBODY))
    target = HALL.state.sessions[other].user_id
    measure("buffer to one user", alternate(TransBuffer(target, b"x")))
    measure("link lost or resumed", break_and_resume)
    watched = HALL.state.sessions[first].user_id
    control = (UserCameraControl(watched, True), UserCameraControl(watched, False))
    measure("subscribe or unsubscribe", alternate(*control, by=second))
    for session in sessions[1:MEMBERS]:
        run(HALL, say(session, UserCameraControl(watched, True)))
    measure(
        f"open or close a stream with {MEMBERS - 1} watchers",
        alternate(
            OpenStream(StreamKind.VIDEO, 0, H264),
            CloseStream(StreamKind.VIDEO, 0),
            by=first,
        ),
    )
    start = perf_counter()
    changes = HALL.snapshot()
    print(f"{(perf_counter() - start) * 1e3:8.1f} ms  snapshot, {len(changes)} changes")
    start = perf_counter()
    copy = Hall(SETTINGS)
    for change in changes:
        copy.apply(change)
    print(f"{(perf_counter() - start) * 1e3:8.1f} ms  folding the snapshot")


if __name__ == "__main__":
    main()
