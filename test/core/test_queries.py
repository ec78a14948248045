"""QueryInfoFromServer, of clients and of business servers."""

import json

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import QueryInfoFromServer, SetUserInfo, UserInfoControl
from anychat.codes import ServerQuery
from anychat.messages import InfoValue
from anychat.messages import QueryInfoFromServer as ClientQuery
from test.core.driver import Driver


class QueryTests(SynchronousTestCase):
    """Ann (1) in room 1, two guests of one name, and a friend who is away."""

    def setUp(self):
        self.core = Driver()
        self.ann = self.core.login("ann")
        self.core.enter(self.ann)
        self.core.guest("guest")
        self.core.guest("guest")

    def ask(self, kind, text=""):
        """The answer, or the code; a business server gets the same."""
        value = self.core.answer(self.ann, ClientQuery(kind, text))
        self.assertIsInstance(value, InfoValue)
        effects, answer = self.core.call(QueryInfoFromServer(kind, text))
        self.assertEqual(effects, [])
        self.assertEqual((answer.code, answer.text), (value.code, value.text))
        return int(value.code) or value.text

    def test_ids(self):
        """Names and ids lead to each other; of several the first is told."""
        self.assertEqual(self.ask(ServerQuery.ID_BY_NAME, "ann"), "1")
        self.assertEqual(self.ask(ServerQuery.ID_BY_NAME, "guest"), "-2")
        self.assertEqual(self.ask(ServerQuery.NAME_BY_ID, "-3"), "guest")

    def test_facts(self):
        """What is known of a user, and of a friend who is away."""
        self.core.call(SetUserInfo(1, 5, 'Ann "A"'))
        self.core.call(UserInfoControl(1, 22, 99, 0, ""))
        self.core.call(SetUserInfo(99, 5, "Zoe"))
        self.assertEqual(
            json.loads(self.ask(ServerQuery.USER_INFO_BY_ID, "1")),
            {
                "userid": 1,
                "username": "ann",
                "nickname": "ann",
                "struserid": "",
                "level": 0,
                "roomid": 1,
                "info": {"5": 'Ann "A"'},
            },
        )
        self.assertEqual(
            json.loads(self.ask(ServerQuery.USER_INFO_BY_ID, "99")),
            {"userid": 99, "info": {"5": "Zoe"}},
        )

    def test_longest(self):
        """The longest answer there can be fits its message."""
        for number in range(4):
            self.core.call(SetUserInfo(1, number, "\x01" * 4096))
        answer = self.ask(ServerQuery.USER_INFO_BY_ID, "1")
        self.assertEqual(answer, 62)
        for number in range(4):
            self.core.call(SetUserInfo(1, number, '"' * 4096))
        self.assertLess(len(self.ask(ServerQuery.USER_INFO_BY_ID, "1")), 60_000)

    def test_server(self):
        """Its status and how many are signed in."""
        self.assertEqual(
            json.loads(self.ask(ServerQuery.RUNNING_STATUS)),
            {"status": "running", "users": 3, "rooms": 2},
        )
        self.assertEqual(self.ask(ServerQuery.ONLINE_USERS), "3")

    def test_refused(self):
        """205 nobody, 9 not known, 21 no number, 20 no such kind."""
        for code, kind, text in (
            (205, 1, "nobody"),
            (205, 1, ""),
            (205, 2, "ann"),
            (9, 3, "1"),
            (205, 3, "99"),
            (205, 4, "99"),
            (205, 5, "ann"),
            (205, 6, "99"),
            (21, 3, "x"),
            (21, 4, ""),
            (21, 4, "१"),
            (21, 6, "1" * 11),
            (20, 0, ""),
            (20, 7, ""),
            (20, 10, ""),
            (20, 100, ""),
            (20, 202, ""),
        ):
            self.assertEqual(self.ask(kind, text), code, (kind, text))

    def test_gone(self):
        """Who is gone is found by nothing."""
        self.core.call(UserInfoControl(-2, 1, 0, 0, ""))
        self.assertEqual(self.ask(ServerQuery.ID_BY_NAME, "guest"), "-3")
        self.core.call(UserInfoControl(-3, 1, 0, 0, ""))
        self.assertEqual(self.ask(ServerQuery.ID_BY_NAME, "guest"), 205)
