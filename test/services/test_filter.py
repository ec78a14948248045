"""The place of the plug-in: questions, events and calls in their order."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    Arbiter,
    GetOnlineUsers,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Presence,
    SendBufToRoom,
    SendBufToUser,
    Verdict,
    VerifyUser,
)
from anychat.codes import DeviceType, ResultCode
from anychat.core.commands import LinkLogin, LoginDropped, SessionMessage
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.messages import (
    EnterRoom,
    EnterRoomResult,
    Login,
    Logout,
    OnlineUser,
    Result,
    SDKFilterData,
    SendSDKFilterData,
    SendText,
    TextMessage,
    TransBuffer,
)
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService

OK, FAIL = ResultCode.SUCCESS, ResultCode.SERVERSDK_FAIL
LOGIN = OnUserLoginAction(-2, "guest", 0, "127.0.0.1")


class Links:
    """Keeps what clients are told, in order."""

    def __init__(self, calls):
        self.calls = calls

    def send(self, sessions, message):
        self.calls.append(("send", sessions, message))

    def reply(self, session, request, message):
        self.calls.append(("reply", session, message))

    def refuse_login(self, link, request, code):
        self.calls.append(("refused", link, code))

    def start_session(self, effect, setup):
        self.calls.append(("started", effect.session, effect.user_id))

    def end_session(self, session, code):
        self.calls.append(("ended", session, code))

    def keep_place(self, session, address):
        self.calls.append(("kept", session, address))

    def give_place(self, session):
        self.calls.append(("given", session))


class Media:
    """No media."""

    def close_leg(self, session):
        """There is none."""


class PlugIn:
    """A plug-in that does as the test says."""

    def __init__(self, calls):
        self.calls = calls
        self.verdicts = []
        """What the next questions give; a new Deferred where there is nothing."""
        self.asked = []
        """The Deferreds that were made so."""
        self.on = {}
        """What to do at an event."""

    def ask(self, question):
        self.calls.append(("asked", question))
        if not self.verdicts:
            self.asked.append(Deferred())
            return self.asked[-1]
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def withdraw(self, question):
        self.calls.append(("withdrawn", question))
        self.on.get("withdraw", lambda question: None)(question)

    def tell(self, event):
        self.calls.append(("told", event))
        code = self.on.get(type(event), lambda event: None)(event)
        return OK if code is None else code


class SlotTestCase(SynchronousTestCase):
    """`FilterSlot` between a real core and a plug-in of the test."""

    def setUp(self):
        self.calls = []
        settings = HallSettings(
            demo_mode=False,
            allow_guest_login=True,
            close_front_link=True,
            auto_add_room=True,
            max_users_per_room=10,
        )
        self.hall = HallService(Hall(settings), Clock())
        self.slot = FilterSlot(self.hall.submit, self.hall.hall.state)
        self.lines = []
        self.hall.connect(
            Effects(Links(self.calls), Media(), self.slot, self.lines.append, None)
        )
        self.hall.startService()
        self.addCleanup(self.hall.stopService)
        self.last = 0

    def login(self, name="guest", password=""):
        """Ask to sign in; the id that a session gets."""
        self.last += 1
        self.hall.submit(
            LinkLogin(
                link=self.last,
                request=1,
                message=Login(name, password),
                session=self.last,
                address="127.0.0.1",
                device=DeviceType.LINUX,
                secure=False,
            )
        )
        return self.last

    def ask(self, session, message):
        """A client asks for something."""
        self.hall.submit(SessionMessage(session, 7, message))

    def take(self):
        """What happened since the last call."""
        taken, self.calls[:] = list(self.calls), []
        return taken


class SlotTests(SlotTestCase):
    """With the plug-in in it."""

    def setUp(self):
        super().setUp()
        self.plug_in = PlugIn(self.calls)
        self.slot.fill(self.plug_in)

    def test_login(self):
        """A question, its verdict, and the event after the grant."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        self.login("ann", "hush")
        self.assertEqual(self.take(), [("asked", VerifyUser("ann", "hush"))])
        self.plug_in.asked[0].callback(Verdict(OK, 77, 2, "Ann"))
        self.assertEqual(
            self.take(),
            [
                ("started", 1, 77),
                ("told", OnUserLoginAction(77, "ann", 2, "127.0.0.1")),
            ],
        )

    def test_verdictAtOnce(self):
        """A plug-in may have its verdict ready."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        self.plug_in.verdicts = [
            succeed(Verdict(OK, 77)),
            succeed(Verdict(ResultCode(4711))),
            succeed(Verdict(OK)),
        ]
        ann = self.login("ann", "x")
        self.login("ben", "x")
        self.ask(ann, EnterRoom(5, "hush"))
        self.assertEqual(
            self.take(),
            [
                ("asked", VerifyUser("ann", "x")),
                ("started", 1, 77),
                ("told", OnUserLoginAction(77, "ann", 0, "127.0.0.1")),
                ("asked", VerifyUser("ben", "x")),
                ("refused", 2, 4711),
                ("asked", PrepareEnterRoom(77, 5, "Room 5", "hush")),
                ("reply", 1, EnterRoomResult(OK, 5, "Room 5")),
                ("send", (1,), OnlineUser(1, 5)),
                ("told", OnUserEnterRoomAction(77, 5)),
            ],
        )

    def test_order(self):
        """What is told of a user comes in the order in which it happened."""
        guest = self.login()
        self.ask(guest, EnterRoom(5))
        self.ask(guest, SendText(-1, False, "hello"))
        self.ask(guest, Logout())
        self.assertEqual(
            [call[1] for call in self.take() if call[0] == "told"],
            [
                LOGIN,
                OnUserEnterRoomAction(-2, 5),
                OnRecvUserTextMsg(5, -2, -1, False, "hello"),
                OnUserLeaveRoomAction(-2, 5),
                OnUserLogoutActionEx(-2, OK),
            ],
        )

    def test_failing(self):
        """A plug-in that raises, or whose Deferred fails, is unavailable: 206."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        self.plug_in.verdicts = [ZeroDivisionError("bug")]
        self.login("ann", "x")
        self.login("ben", "x")
        self.plug_in.asked[0].errback(ZeroDivisionError("bug"))
        self.assertEqual(
            [call for call in self.take() if call[0] != "asked"],
            [("refused", 1, FAIL), ("refused", 2, FAIL)],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_nonsense(self):
        """A verdict that is none costs that login only: 5, and a logged fault."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        for nonsense in (None, 0, "no", Verdict(OK, "77")):
            self.plug_in.verdicts = [nonsense]
            link = self.login("ann", "x")
            self.assertEqual(self.take()[1:], [("refused", link, ResultCode.EXCEPTION)])
        self.assertEqual(len(self.flushLoggedErrors()), 4)
        guest = self.login()
        self.take()
        self.plug_in.verdicts = [None]
        self.ask(guest, EnterRoom(5))
        self.assertEqual(
            self.take()[1:],
            [("reply", guest, EnterRoomResult(ResultCode.EXCEPTION, 5))],
        )
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_unusableVerdict(self):
        """An id that cannot be is 205 for the client and a line for the operator."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        self.plug_in.verdicts = [succeed(Verdict(OK, 0))]
        self.login("ann", "x")
        self.assertEqual(self.take()[1:], [("refused", 1, ResultCode.INVALID_USERID)])
        self.assertEqual(
            self.lines,
            [
                "Refuse login, VerifyUser gave user ann the id 0, "
                "ids are 1 to 2147483647.(errorcode=205)"
            ],
        )

    def test_failingAtAnEvent(self):
        """A plug-in that raises at an event misses none of the next ones."""

        def fail(event):
            raise ZeroDivisionError("bug")

        self.plug_in.on[OnUserLoginAction] = fail
        guest = self.login()
        self.ask(guest, Logout())
        self.assertEqual(
            [call for call in self.take() if call[0] == "told"],
            [("told", LOGIN), ("told", OnUserLogoutActionEx(-2, OK))],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_late(self):
        """A verdict on a login whose link is gone lets nobody in."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        session = self.login("ann", "x")
        self.take()
        self.hall.submit(LoginDropped(session))
        self.assertEqual(
            self.take(),
            [
                ("kept", session, "127.0.0.1"),
                ("withdrawn", VerifyUser("ann", "x")),
            ],
        )
        self.plug_in.asked[0].callback(Verdict(OK, 77))
        self.assertEqual(self.take(), [("given", session)])

    def test_withdrawn(self):
        """The plug-in is told of the very question, and may settle it there."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        withdrawn = []

        def settle(question):
            withdrawn.append(question)
            self.plug_in.asked[1].callback(Verdict(FAIL))

        self.plug_in.on["withdraw"] = settle
        sessions = [self.login("ann", "x") for _ in range(3)]
        asked = [call[1] for call in self.take()]
        self.hall.submit(LoginDropped(sessions[1]))
        self.assertIs(withdrawn[0], asked[1])
        self.assertEqual(self.take()[-1], ("given", sessions[1]))
        self.assertEqual(len(self.hall.hall.state.verifying), 2)

    def test_entryWithdrawn(self):
        """With a session goes the question about its entry."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        guest = self.login()
        self.ask(guest, EnterRoom(5))
        self.take()
        self.ask(guest, Logout())
        withdrawn = ("withdrawn", PrepareEnterRoom(-2, 5, "Room 5", ""))
        self.assertEqual(
            self.take(),
            [
                ("reply", guest, Result(OK)),
                ("kept", guest, "127.0.0.1"),
                ("ended", guest, OK),
                withdrawn,
                ("told", OnUserLogoutActionEx(-2, OK)),
            ],
        )
        self.plug_in.asked[0].callback(Verdict(OK))
        self.assertEqual(self.take(), [("given", guest)])

    def test_withdrawFails(self):
        """A plug-in that raises there costs nobody anything."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)

        def fail(question):
            raise ZeroDivisionError("bug")

        self.plug_in.on["withdraw"] = fail
        self.hall.submit(LoginDropped(self.login("ann", "x")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_data(self):
        """What the plug-in makes of a client's data is the client's answer."""
        self.slot.arbiters(Arbiter.NOBODY, Arbiter.NOBODY, hears=True)
        guest = self.login()
        self.take()
        for message, event in (
            (SendSDKFilterData(b"x"), OnRecvUserFilterData(-2, b"x")),
            (TransBuffer(0, b"x"), OnTransBuffer(-2, b"x")),
        ):
            for code in (OK, FAIL, ResultCode.NOENOUGHRESOURCE):
                self.plug_in.on[type(event)] = lambda event, code=code: code
                self.ask(guest, message)
                self.assertEqual(
                    self.take(),
                    [("told", event), ("reply", guest, Result(code))],
                )

    def test_dataFails(self):
        """A plug-in that raises at a client's data has not taken it: 206."""
        self.slot.arbiters(Arbiter.NOBODY, Arbiter.NOBODY, hears=True)

        def fail(event):
            raise ZeroDivisionError("bug")

        guest = self.login()
        self.plug_in.on[OnTransBuffer] = fail
        self.ask(guest, TransBuffer(0, b"x"))
        self.assertEqual(self.take()[-1], ("reply", guest, Result(FAIL)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_callInsideAnEvent(self):
        """A call from inside an event is answered there, after the event's cause."""
        answers = []

        def welcome(event):
            answers.append(self.slot.call(SendBufToUser(event.user_id, b"welcome")))
            answers.append(self.slot.call(GetOnlineUsers(-1)))
            answers.append(self.slot.call(SendBufToRoom(9, b"x")))

        self.plug_in.on[OnUserLoginAction] = welcome
        guest = self.login()
        self.assertEqual(
            self.take(),
            [
                ("started", guest, -2),
                ("told", LOGIN),
                ("send", (guest,), SDKFilterData(b"welcome")),
            ],
        )
        self.assertEqual(
            answers,
            [Answer(OK), Answer(OK, (-2,)), Answer(ResultCode.ROOM_INVALID)],
        )

    def test_commandsInsideAnEvent(self):
        """What happens while the plug-in is told of something is told after it."""
        guest = self.login()
        self.take()

        def more(event):
            self.plug_in.on.clear()
            self.ask(guest, SendText(-1, False, "second"))
            self.calls.append("told")

        self.plug_in.on[OnRecvUserTextMsg] = more
        self.ask(guest, EnterRoom(5))
        self.take()
        self.ask(guest, SendText(-1, False, "first"))
        self.assertEqual(
            self.take(),
            [
                ("reply", guest, Result(OK)),
                ("told", OnRecvUserTextMsg(5, -2, -1, False, "first")),
                ("reply", guest, Result(OK)),
                "told",
                ("told", OnRecvUserTextMsg(5, -2, -1, False, "second")),
            ],
        )

    def test_neverInsideAnEffect(self):
        """The plug-in hears of a command when all its effects are done."""
        one, two = self.login("one"), self.login("two")
        for session in (one, two):
            self.ask(session, EnterRoom(5))
        self.take()
        self.ask(one, SendText(-1, False, "hi"))
        self.assertEqual(
            self.take(),
            [
                ("send", (two,), TextMessage(-2, -1, False, "hi")),
                ("reply", one, Result(OK)),
                ("told", OnRecvUserTextMsg(5, -2, -1, False, "hi")),
            ],
        )

    def test_online(self):
        """Who is there, in the order of signing in, and in which room."""
        self.assertEqual(self.slot.online(), ())
        self.slot.arbiters(Arbiter.THERE, Arbiter.NOBODY)
        first = self.login("one")
        self.plug_in.verdicts = [succeed(Verdict(OK, 77, 3, "Ann"))]
        self.login("ann", "x")
        self.ask(first, EnterRoom(5))
        self.assertEqual(
            self.slot.online(),
            (
                Presence(-2, "one", 0, "127.0.0.1", 5),
                Presence(77, "ann", 3, "127.0.0.1", 0),
            ),
        )

    def test_notRunning(self):
        """A call to a server that does not run is answered with 2."""
        self.hall.stopService()
        self.assertEqual(self.slot.call(GetOnlineUsers(-1)), Answer(ResultCode.NOTINIT))
        self.hall.startService()


class EmptyTests(SlotTestCase):
    """Without a plug-in."""

    def test_empty(self):
        """Questions and data get 206 at once, and events go nowhere."""
        self.slot.arbiters(Arbiter.THERE, Arbiter.THERE)
        guest = self.login()
        self.login("ann", "x")
        self.ask(guest, EnterRoom(5))
        self.ask(guest, TransBuffer(0, b"x"))
        self.assertEqual(
            self.take(),
            [
                ("started", 1, -2),
                ("refused", 2, FAIL),
                ("reply", 1, EnterRoomResult(FAIL, 5)),
                ("reply", 1, Result(FAIL)),
            ],
        )
