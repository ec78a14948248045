"""User data, control codes and queries in the client."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.client.people import People
from anychat.client.sdk_options import SDKOptions
from anychat.codes import ResultCode, SDKOption, ServerQuery, StreamInfo
from anychat.errors import Refused
from anychat.messages import (
    Friend,
    FriendStatus,
    InfoValue,
    OptionValue,
    QueryInfoFromServer,
    QuerySDKOption,
    QueryStreamInfo,
    ServerParameters,
    SetSDKOption,
    StateValue,
    SyncData,
    UserFriends,
    UserGroup,
    UserGroups,
    UserInfoCommand,
    UserInfoControl,
    UserInfoItem,
    UserInfos,
    UserInfoUpdate,
)

PARAMETERS = ServerParameters(320, 240, 15, 30, 90000, 1, 3, 3, 16000, 1, 16, 11, 16000)

#: A whole set, as the server tells it.
SET = (
    SyncData(),
    UserInfos(7, (UserInfoItem(1, "Ann"),)),
    UserGroups((UserGroup(5, "work"), UserGroup(6, "family"))),
    UserFriends((Friend(8, True, (5,)), Friend(9, False, (5, 6)))),
    UserInfos(9, (UserInfoItem(1, "Zoe"),)),
    UserInfoUpdate(0, 0),
)


class Events:
    """Writes down what is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *values: self.told.append((name, *values))


class PeopleTests(SynchronousTestCase):
    """`People`."""

    def setUp(self):
        self.asked = []
        self.answer = None
        self.events = Events()
        self.people = People(self.command, self.query, lambda asked: asked, self.events)

    def command(self, message):
        """A request that is granted."""
        self.asked.append(message)
        return succeed(None)

    def query(self, message, expected):
        """A query that gets the test's answer."""
        self.asked.append(message)
        self.assertIsInstance(self.answer, expected)
        return succeed(self.answer)

    def take(self, *messages):
        """What the server says; the events of that."""
        self.events.told.clear()
        for message in messages:
            self.people.take(message)
        return self.events.told

    def test_wholeSet(self):
        """It is all there at once, with its last message."""
        people = self.people
        self.assertEqual(self.take(*SET[:-1]), [])
        self.assertEqual((people.friends, people.groups), ((), ()))
        self.assertEqual(self.take(SET[-1]), [("on_user_info_update", 0, 0)])
        self.assertEqual((people.friends, people.groups), ((8, 9), (5, 6)))
        self.assertEqual(people.group_name(5), "work")
        self.assertEqual(people.group_friends(5), (8, 9))
        self.assertEqual(people.group_friends(6), (9,))
        self.assertEqual(people.user_info(7, 1), "Ann")
        self.assertEqual(people.user_info(9, 1), "Zoe")
        self.assertEqual([people.friend_status(n) for n in (8, 9)], [True, False])

    def test_replaced(self):
        """A later set takes the place of the whole earlier one."""
        self.take(*SET)
        self.take(SyncData(), UserInfos(7, ()), UserInfoUpdate(0, 0))
        self.assertEqual((self.people.friends, self.people.groups), ((), ()))
        self.assertUnknown(lambda: self.people.user_info(9, 1))

    def assertUnknown(self, look):
        """9: there is no such thing."""
        self.assertEqual(self.assertRaises(Refused, look).code, ResultCode.DATANOTEXIST)

    def test_unknown(self):
        """9 for what nobody said."""
        self.take(*SET)
        for look in (
            lambda: self.people.friend_status(10),
            lambda: self.people.group_name(7),
            lambda: self.people.group_friends(7),
            lambda: self.people.user_info(9, 2),
            lambda: self.people.user_info(10, 1),
        ):
            self.assertUnknown(look)

    def test_later(self):
        """Friends come and go, and their information changes."""
        self.take(*SET)
        self.assertEqual(
            self.take(FriendStatus(9, True)), [("on_friend_status", 9, True)]
        )
        self.assertTrue(self.people.friend_status(9))
        self.assertEqual(
            self.take(UserInfos(9, (UserInfoItem(2, "x"),)), UserInfoUpdate(9, 0)),
            [("on_user_info_update", 9, 0)],
        )
        self.assertEqual(self.people.user_info(9, 2), "x")
        self.assertUnknown(lambda: self.people.user_info(9, 1))

    def test_missed(self):
        """A set whose end was lost leaves the one before as it is."""
        self.take(*SET)
        self.take(SyncData(), UserGroups((UserGroup(1, "x"),)))
        self.people.missed()
        self.take(*SET)
        self.assertEqual(self.people.groups, (5, 6))
        self.people.forget()
        self.assertEqual((self.people.friends, self.people.groups), ((), ()))

    def test_command(self):
        """The application's codes are told."""
        self.assertEqual(
            self.take(UserInfoCommand(0, 100, 1, 2, "x")),
            [("on_user_info_control", 0, 100, 1, 2, "x")],
        )

    def test_noQuery(self):
        """What is no kind of question is refused."""
        refused = self.failureResultOf(self.people.query("a", "b"), Refused)
        self.assertEqual(refused.value.code, ResultCode.FUNCOPTERROR)
        self.assertEqual(self.asked, [])

    def test_calls(self):
        """Each is its message."""
        people = self.people
        people.control(8, 100, 1, 2, "x")
        people.kick_out(8)
        people.turn_picture(90, True)
        self.answer = InfoValue(ResultCode.SUCCESS, "8")
        self.assertEqual(
            self.successResultOf(people.query(ServerQuery.ID_BY_NAME, "ben")), "8"
        )
        self.answer = StateValue(ResultCode.SUCCESS, 640)
        self.assertEqual(
            self.successResultOf(people.stream_info(StreamInfo.VIDEO_WIDTH, 8)), 640
        )
        self.assertEqual(
            self.asked,
            [
                UserInfoControl(8, 100, 1, 2, "x"),
                UserInfoControl(8, 1, 0, 0, ""),
                UserInfoControl(-1, 8, 90, 1, ""),
                QueryInfoFromServer(1, "ben"),
                QueryStreamInfo(8, 0, StreamInfo.VIDEO_WIDTH),
            ],
        )


class OptionTests(SynchronousTestCase):
    """`SDKOptions`."""

    def setUp(self):
        self.asked, self.applied = [], []
        self.parameters = PARAMETERS
        self.options = SDKOptions(
            self.command,
            self.query,
            self.applied.append,
            lambda: self.parameters,
            lambda *_: None,
        )

    def command(self, message):
        """A request that is granted."""
        self.asked.append(message)
        return succeed(None)

    def query(self, message, expected):
        """The server's time is 5."""
        self.assertEqual(message, QuerySDKOption(230))
        return succeed(OptionValue(ResultCode.SUCCESS, 5))

    def set(self, option, number):
        """The code of setting an option."""
        return self.outcome(self.options.set(option, number).addCallback(lambda _: 0))

    def get(self, option):
        """The value of an option, or minus the code."""
        return -self.outcome(self.options.get(option).addCallback(lambda n: -n))

    def outcome(self, done):
        """The result, or the code of the refusal."""
        return self.successResultOf(
            done.addErrback(lambda failure: int(failure.value.code))
        )

    def test_parameters(self):
        """They wait for 35, which applies them or goes back to the server's."""
        self.assertEqual(self.get(33), 15)
        self.assertEqual((self.set(33, 5), self.set(38, 640)), (0, 0))
        self.assertEqual((self.get(33), self.get(35), self.applied), (5, 0, []))
        self.assertEqual(self.set(35, 1), 0)
        self.assertEqual(self.get(35), 1)
        self.assertEqual(self.applied.pop(), {"video_fps": 5, "video_width": 640})
        self.set(35, 0)
        self.assertEqual((self.applied.pop(), self.get(33)), ({}, 15))
        self.parameters = None
        self.assertEqual(self.get(33), -ResultCode.NOTLOGIN)

    def test_server(self):
        """What the server feels is told it, and told it again."""
        self.set(SDKOption.P2P_POLICY, 2)
        self.set(110, 8)
        self.assertEqual(self.asked, [SetSDKOption(40, 2), SetSDKOption(110, 8)])
        self.assertEqual((self.get(40), self.get(228)), (2, 1))
        self.asked.clear()
        self.options.began_anew()
        self.assertEqual(self.asked, [SetSDKOption(40, 2)])
        self.assertEqual(self.get(230), 5)
        self.assertEqual(self.successResultOf(self.options.server_time()), 5)

    def test_wrong(self):
        """20 for what is none, 21 for numbers that cannot be."""
        for option, number, code in (
            (7, 1, 20),
            (230, 1, 20),
            (35, 2, 21),
            (213, 0, 21),
            (213, 60_001, 21),
            (30, -1, 21),
            (31, 6, 21),
            (32, 0, 21),
            (33, 0, 21),
            (33, "5", 21),
            (34, 0, 21),
            (38, 15, 21),
            (39, 0, 21),
            (93, 2, 21),
        ):
            self.assertEqual(self.set(option, number), code)
        self.assertEqual((self.set(35, 1), self.applied), (0, [{}]))
        self.assertEqual((self.get(7), self.get(110)), (-20, -20))
        self.assertEqual((self.set(213, 50), self.get(213)), (0, 50))


class TimeoutTests(SynchronousTestCase):
    """Option 213 in a whole client."""

    def test_timeout(self):
        """A query that is not answered in its time fails with 100."""
        clock = Clock()
        client = Client(clock, log_path=None)
        client.options.query_timeout = 300
        asked = Deferred()
        client.people._query = lambda message, expected: asked
        outcome = client.people.query(ServerQuery.ONLINE_USERS)
        clock.advance(0.29)
        self.assertNoResult(outcome)
        clock.advance(0.02)
        failure = self.failureResultOf(outcome, Refused)
        self.assertEqual(failure.value.code, ResultCode.CONNECT_TIMEOUT)
