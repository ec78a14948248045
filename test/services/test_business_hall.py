"""The service for business servers, with the core behind it.

Nothing is doubled here but the clients and the reactor.
"""

from anychat.business_messages import (
    AppMessageEx,
    OnlineUsers,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import DeviceType, ResultCode
from anychat.core.commands import LinkLogin, SessionMessage
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.ids import LinkId, SessionId
from anychat.messages import EnterRoom, EnterRoomResult, LeaveRoom, Login, Logout
from anychat.protocols import business_commands as commands
from anychat.services.business import resting
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from test.services.business_servers import BusinessTestCase

OK = ResultCode.SUCCESS


class Links:
    """The clients: what each login and entry came to."""

    def __init__(self):
        self.logins = {}
        self.entries = {}
        self.sent = []

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

    def send(self, sessions, message):
        """A notification."""
        self.sent.append(message)


class Media:
    """No media."""

    def close_leg(self, session):
        """There is none."""


class HallTests(BusinessTestCase):
    """From a client's request to the business server and back."""

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
        self.hall.connect(Effects(self.links, Media(), slot, self.log.append))
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
