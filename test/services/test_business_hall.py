"""The service for business servers, with the core behind it.

Nothing is doubled here but the clients and the reactor.
"""

from anychat.business_messages import (
    AppMessageEx,
    OnlineUsers,
    OnTransBuffer,
    OnUserEnterRoomAction,
    OnUserInfoControl,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import DeviceType, ResultCode
from anychat.core.commands import LinkLogin, LoginDropped, SessionMessage
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.ids import LinkId, SessionId
from anychat.messages import (
    EnterRoom,
    EnterRoomResult,
    LeaveRoom,
    Login,
    Logout,
    SendSDKFilterData,
    SyncData,
    TransBuffer,
    UserInfoCommand,
    UserInfoControl,
    UserInfoItem,
    UserInfos,
    UserInfoUpdate,
)
from anychat.protocols import business_commands as commands
from anychat.services.business import resting
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from test.services.business_servers import BOTH, BusinessTestCase

OK = ResultCode.SUCCESS


class Links:
    """The clients: what each login and entry came to."""

    def __init__(self):
        self.logins = {}
        self.entries = {}
        self.answers = {}
        self.results = []
        self.sent = []
        self.kept = set()

    def start_session(self, effect, setup):
        """A login is granted."""
        self.logins.setdefault(effect.link, []).append(OK)

    def refuse_login(self, link, request, code):
        """A login is not granted."""
        self.logins.setdefault(link, []).append(code)

    def end_session(self, session, code):
        """Gone."""

    def reply(self, session, request, message):
        """An answer."""
        if isinstance(message, EnterRoomResult):
            self.entries.setdefault(session, []).append(message.code)
        else:
            self.answers[request] = message.code
            self.results.append(message.code)

    def keep_place(self, session, address):
        """Its question is open, and nobody waits for it."""
        self.kept.add(session)

    def give_place(self, session):
        """It is open no more."""
        self.kept.discard(session)

    def send(self, sessions, message):
        """A notification."""
        self.sent.append(message)


class Media:
    """No media."""

    def close_leg(self, session):
        """There is none."""


class HallCase(BusinessTestCase):
    """A core, its clients, and the service between it and business servers."""

    def serve(self, tls=False, demo=False, **settings):
        """The core, and the service as its plug-in."""
        super().serve(tls, **settings)
        self.service.stopService()
        require = settings.get("require", True)
        verifier, admitter = resting(require)
        self.hall = HallService(
            Hall(
                HallSettings(
                    demo_mode=demo,
                    allow_guest_login=True,
                    close_front_link=True,
                    auto_add_room=True,
                    max_users_per_room=200,
                    verifier=verifier,
                    admitter=admitter,
                )
            ),
            self.reactor,
        )
        self.links = Links()
        slot = FilterSlot(self.hall.submit, self.hall.hall.state)
        self.hall.connect(Effects(self.links, Media(), slot, self.log.append, None))
        self.service = self.make(slot, **settings)
        slot.fill(self.service)
        self.hall.startService()
        self.service.startService()

    def tearDown(self):
        """Nothing is left."""
        stopping = self.service.stopService()
        self.flush()
        self.hall.stopService()
        self.reactor.advance(10)
        self.successResultOf(stopping)

    def login(self, number, name=None, password="secret"):
        """A client logs in, with link and session of that number."""
        self.hall.submit(
            LinkLogin(
                LinkId(number),
                1,
                Login(name or f"user{number}", password),
                SessionId(number),
                "192.0.2.1",
                DeviceType.LINUX,
                False,
            )
        )
        self.flush()

    def say(self, number, message):
        """A client asks for something."""
        self.hall.submit(SessionMessage(SessionId(number), 2, message))
        self.flush()


class HallTests(HallCase):
    """From a client's request to the business server and back."""

    def test_story(self):
        """One user's story, with questions in their places."""
        server = self.server(verdict=Verdict(OK, 7, 3, "Anna"))
        server.stream.clear()
        self.login(1, "anna")
        self.say(1, EnterRoom(5))
        self.say(1, LeaveRoom(5))
        self.say(1, EnterRoom(6))
        self.say(1, Logout())
        self.assertEqual(
            server.stream,
            [
                VerifyUser("anna", "secret"),
                OnUserLoginAction(7, "anna", 3, "192.0.2.1"),
                PrepareEnterRoom(7, 5, "Room 5", ""),
                OnUserEnterRoomAction(7, 5),
                OnUserLeaveRoomAction(7, 5),
                PrepareEnterRoom(7, 6, "Room 6", ""),
                OnUserEnterRoomAction(7, 6),
                OnUserLeaveRoomAction(7, 6),
                OnUserLogoutActionEx(7, OK),
            ],
        )
        self.assertEqual(
            (self.links.logins, self.links.entries), ({1: [OK]}, {1: [OK] * 2})
        )

    def test_killed(self):
        """Killed with 1,000 logins under way: each is answered, once, with 206."""
        server = self.server()
        for number in range(1, 1001):
            self.login(number)
        self.assertEqual((len(server.asked), self.links.logins), (1000, {}))
        for _ in range(10):
            server.asked.pop(0)[1].callback(Verdict(OK, 1000 + len(server.asked)))
        server.pipe.client.waiting = b""  # killed before they were on their way
        server.pipe.cut()
        everybody = {number: [ResultCode.SERVERSDK_FAIL] for number in range(1, 1001)}
        self.assertEqual(self.links.logins, everybody)
        self.reactor.advance(60)
        self.assertEqual(self.links.logins, everybody)

    def test_killedAndBack(self):
        """Who is in goes on, nobody else gets in, until it is there again."""
        server = self.server(verdict=Verdict(OK, 7))
        self.login(1, "anna")
        self.say(1, EnterRoom(5))
        server.pipe.cut()
        self.login(2, "bert")
        self.login(3, "guest", password="")
        self.say(3, EnterRoom(5))
        self.say(1, LeaveRoom(5))
        self.say(1, EnterRoom(6))
        self.assertEqual(
            self.links.logins, {1: [OK], 2: [ResultCode.SERVERSDK_FAIL], 3: [OK]}
        )
        self.assertEqual(
            self.links.entries, {1: [OK, OK], 3: [ResultCode.SERVERSDK_FAIL]}
        )
        back = self.server(verdict=Verdict(OK, 8))
        told = [event for _, event in back.events()]
        self.assertEqual(
            [type(event) for event in told],
            [
                OnUserLoginAction,
                OnUserLeaveRoomAction,
                OnUserEnterRoomAction,
                AppMessageEx,
                OnlineUsers,
            ],
        )
        online = told[-1]
        self.assertEqual(
            [(one.name, one.room_id) for one in online.users],
            [("anna", 6), ("guest", 0)],
        )
        self.login(4, "bert")
        self.say(3, EnterRoom(5))
        self.assertEqual(self.links.logins[4], [OK])
        self.assertEqual(self.links.entries[3][-1], OK)

    def test_timeout(self):
        """One that says nothing costs its clients AnswerTimeout, and then 207."""
        server = self.server()
        self.login(1)
        self.reactor.advance(5)
        self.assertEqual(self.links.logins, {1: [ResultCode.SERVERSDK_TIMEOUT]})
        server.rule(0, 7)
        self.assertEqual(self.links.logins, {1: [ResultCode.SERVERSDK_TIMEOUT]})
        self.login(2)
        server.rule(0, 7)
        self.assertEqual(self.links.logins[2], [OK])

    def test_restarted(self):
        """One that starts again before its old connection is seen to go: 212."""
        self.server()
        self.login(1)
        new = self.server()
        self.assertEqual(self.links.logins, {1: [ResultCode.SERVER_RESTART]})
        self.login(1)
        new.rule(0, 7)
        self.assertEqual(self.links.logins[1][1:], [OK])

    def test_notRequired(self):
        """With RequireBusiness=0 rooms are open without one."""
        self.serve(require=False)
        self.login(1, "guest", password="")
        self.say(1, EnterRoom(5))
        self.assertEqual(self.links.entries, {1: [OK]})

    def test_demo(self):
        """Demo mode needs none, and asks one that is there."""
        self.serve(demo=True)
        self.login(1)
        server = self.server()
        self.login(2)
        server.rule(200)
        self.assertEqual(self.links.logins, {1: [OK], 2: [ResultCode.CERTIFY_FAIL]})

    def test_call(self):
        """A call is answered by the core."""
        server = self.server(verdict=Verdict(OK, 7))
        self.login(1)
        result = server.link.call(commands.GetOnlineUsers, room_id=-1)
        self.flush()
        self.assertEqual(self.successResultOf(result)["ids"], (7,))

    def test_controlCode(self):
        """A client's control code, its verdict, and where it goes."""
        server = self.server(verdicts=(*BOTH, "OnUserInfoControl"))
        for number in (1, 2):
            self.login(number)
            server.rule(0, number)
        for request, (target, text) in enumerate(
            [(2, "hey"), (2, "no"), (0, "you"), (2, "late")], 5
        ):
            control = UserInfoControl(target, 100, 1, -1, text)
            self.hall.submit(SessionMessage(SessionId(1), request, control))
        self.flush()
        self.assertEqual(server.asked[0][0], OnUserInfoControl(1, 2, 100, 1, -1, "hey"))
        for code in (0, 4711, 0):
            server.rule(code)
        server.pipe.cut()
        self.assertEqual(self.links.sent[-1], UserInfoCommand(1, 100, 1, -1, "hey"))
        self.assertEqual(
            self.links.answers,
            {5: 0, 6: 4711, 7: 0, 8: ResultCode.SERVERSDK_FAIL},
        )

    def test_nobodyAnswers(self):
        """206 where no business server answers OnUserInfoControl."""
        server = self.server()
        self.login(1)
        server.rule(0, 1)
        self.say(1, UserInfoControl(0, 100, 0, 0, ""))
        self.assertEqual(self.links.answers, {2: ResultCode.SERVERSDK_FAIL})

    def test_userData(self):
        """What a business server says of a user, from its call to the client."""
        server = self.server()
        self.login(1)
        server.rule(0, 7)
        for command, values in (
            (commands.SetUserInfo, {"info_id": 1, "text": "Ann"}),
            (
                commands.UserInfoControl,
                {"control_code": 2, "wparam": 0, "lparam": 0, "text": ""},
            ),
        ):
            done = server.link.call(command, user_id=7, **values)
            self.flush()
            self.successResultOf(done)
        self.assertEqual(
            self.links.sent[-3:],
            [
                SyncData(),
                UserInfos(7, (UserInfoItem(1, "Ann"),)),
                UserInfoUpdate(0, 0),
            ],
        )
        for command, values, text in (
            (commands.GetUserInfo, {"user_id": 7, "info_id": 1}, "Ann"),
            (commands.QueryInfoFromServer, {"query": 4, "text": "7"}, "user1"),
        ):
            answer = server.link.call(command, **values)
            self.flush()
            self.assertEqual(self.successResultOf(answer)["text"], text)

    def test_flood(self):
        """A user who sends without end is refused, and holds up nobody else."""
        self.serve(window_events=64)
        server = self.server(eager=False)
        for number, name in ((1, "guest"), (2, "other")):
            self.login(number, name, password="")
        server.stream.clear()
        for _ in range(500):
            self.hall.submit(SessionMessage(SessionId(1), 2, SendSDKFilterData(b"x")))
        self.flush()
        codes = [OK] * 4 + [ResultCode.NOENOUGHRESOURCE] * 496
        self.assertEqual(self.links.results, codes)
        self.assertEqual(self.count("data_refused"), 496)
        self.login(3, "anna")
        self.say(2, EnterRoom(5))
        self.say(1, EnterRoom(5))
        self.assertEqual(
            server.stream[4:],
            [
                VerifyUser("anna", "secret"),
                PrepareEnterRoom(-3, 5, "Room 5", ""),
                PrepareEnterRoom(-2, 5, "Room 5", ""),
            ],
        )

    def test_floods(self):
        """The same where many fill the window together; each only waits for himself."""
        self.serve(window_events=16)
        server = self.server(eager=False)
        for number in range(1, 41):
            self.login(number, "guest", password="")
        self.say(40, EnterRoom(5))
        server.rule(0)
        server.stream.clear()
        for number in range(1, 31):
            self.say(number, TransBuffer(0, b"x"))
        self.login(50, "anna")
        self.say(40, LeaveRoom(5))
        for number in (39, 30, 1, 40):
            self.say(number, EnterRoom(6))
        heard = [item for item in server.stream if not isinstance(item, OnTransBuffer)]
        self.assertEqual(len(server.stream) - len(heard), 16)
        self.assertEqual(
            [item if isinstance(item, VerifyUser) else item.user_id for item in heard],
            [VerifyUser("anna", "secret"), -41, -40, -2, -41],
        )
        server.acknowledge(server.got[-1][0])
        self.assertEqual(
            [
                item.user_id
                for item in server.stream
                if isinstance(item, PrepareEnterRoom)
            ],
            [-40, -2, -41, -31],
        )

    def test_nobodyWants(self):
        """Data that nobody there asked to hear of is 206, and told to nobody."""
        self.server("shop", events=["OnTransBuffer"])
        away = self.server("away")
        away.pipe.cut()
        self.login(1, "guest", password="")
        self.say(1, SendSDKFilterData(b"x"))
        self.say(1, TransBuffer(0, b"x"))
        self.assertEqual(self.links.results, [ResultCode.SERVERSDK_FAIL, OK])
        kinds = [type(event) for _, event in self.again(away, 2).events()]
        self.assertEqual(kinds[:2], [OnUserLoginAction, OnTransBuffer])

    def test_goneMeanwhile(self):
        """A login whose link is gone keeps its place until its question is closed."""
        server = self.server()
        for number in (1, 2, 3):
            self.login(number)
            self.hall.submit(LoginDropped(SessionId(number)))
        self.assertEqual(self.links.kept, {1, 2, 3})
        server.rule(0, 7)
        self.assertEqual(self.links.kept, {2, 3})
        self.reactor.advance(5)
        self.assertEqual((self.links.kept, self.links.logins), (set(), {}))
        self.login(4)
        server.pipe.cut()
        self.assertEqual(self.links.logins, {4: [ResultCode.SERVERSDK_FAIL]})

    def test_goneUnsent(self):
        """A question that has not been put is not, once nobody waits for it."""
        self.serve(window_events=1)
        server = self.server(eager=False)
        for number in (1, 2):
            self.login(number, "guest", password="")
            self.say(number, TransBuffer(0, b"x"))
        self.say(2, EnterRoom(5))
        self.say(1, EnterRoom(5))
        self.assertEqual(self.count("questions_open"), 2)
        self.say(2, Logout())
        self.assertEqual(
            (self.count("questions_open"), self.count("questions_withdrawn")), (1, 1)
        )
        self.assertEqual(self.links.kept, set())
        self.say(1, Logout())
        self.assertEqual(self.links.kept, {1})
        server.acknowledge(server.got[-1][0])
        asked = [question.user_id for question, _ in server.asked]
        self.assertEqual(asked, [-2])
        server.rule(0)
        self.assertEqual((self.links.kept, self.count("questions_open")), (set(), 0))
