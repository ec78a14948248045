"""Video calls and the business server that judges them."""

from anychat.business_messages import OnVideoCallEvent, Verdict
from anychat.codes import ResultCode, VideoCallEvent
from anychat.errors import Refused
from anychat.messages import Result, VideoCallControl, VideoCallNotice
from anychat.protocols import business_commands as commands
from test.services.test_business_hall import HallCase

OK = ResultCode.SUCCESS
REQUEST, REPLY, START, FINISH = VideoCallEvent
JUDGE = ("OnVideoCallEvent",)


class CallTests(HallCase):
    """Two guests, -2 and -3 with links 1 and 2, who call one another."""

    def setUp(self):
        """Sign them in."""
        super().setUp()
        self.replies = []
        self.links.reply = lambda *reply: self.replies.append(reply)
        for number in 1, 2:
            self.login(number, f"guest{number}", password="")

    def step(self, number, event, user_id, error=0, text=""):
        """A step of a call."""
        self.say(
            number,
            VideoCallControl(event, user_id, ResultCode(error), 3, -1, text),
        )

    def notices(self):
        """Event and error of what clients were told since the last call."""
        sent, self.links.sent[:] = list(self.links.sent), []
        return [
            (notice.event, notice.error)
            for notice in sent
            if isinstance(notice, VideoCallNotice)
        ]

    def codes(self):
        """Answers since the last call, with whom they went to."""
        replies, self.replies[:] = list(self.replies), []
        assert all(isinstance(message, Result) for *_, message in replies)
        return [(session, message.code) for session, _, message in replies]

    def test_nobody(self):
        """Without a business server, or one that judges no calls, they work."""
        for _ in range(2):
            self.step(1, REQUEST, -3)
            self.step(2, REPLY, -2)
            self.step(1, FINISH, -3)
            self.assertEqual(self.codes(), [(1, OK), (2, OK), (1, OK)])
            expected = [REQUEST, REPLY, START, START, FINISH, FINISH]
            self.assertEqual([event for event, _ in self.notices()], expected)
            server = self.server()
        self.assertEqual(server.asked, [])

    def test_story(self):
        """It is asked about every step and shown the rest."""
        server = self.server(verdicts=JUDGE, verdict=Verdict(OK))
        server.stream.clear()
        self.step(1, REQUEST, -3, text="hi")
        self.step(2, REPLY, -2, text="yes")
        self.step(1, FINISH, -3, 4711)
        self.assertEqual(
            server.stream,
            [
                OnVideoCallEvent(REQUEST, -2, -3, OK, 3, -1, "hi"),
                OnVideoCallEvent(REPLY, -3, -2, OK, 3, -1, "yes"),
                OnVideoCallEvent(START, -2, -3, OK, 3, 3, "yes"),
                OnVideoCallEvent(FINISH, -2, -3, ResultCode(4711), 3, -1, ""),
            ],
        )
        self.assertEqual(self.codes(), [(1, OK), (2, OK), (1, OK)])
        self.assertIn("OnVideoCallEvent is answered by business server shop", self.log)

    def test_refused(self):
        """Its code reaches the caller, by answer and by notice, and nobody else."""
        server = self.server(verdicts=JUDGE)
        self.step(1, REQUEST, -3)
        self.assertEqual((self.codes(), self.notices()), ([], []))
        server.rule(4711)
        self.assertEqual(self.codes(), [(1, 4711)])
        self.assertEqual(self.notices(), [(REPLY, 4711)])

    def test_timeout(self):
        """207 to the caller after AnswerTimeout; a call can be ended all the same."""
        server = self.server(verdicts=JUDGE)
        self.step(1, REQUEST, -3)
        self.reactor.advance(5)
        self.assertEqual(self.codes(), [(1, ResultCode.SERVERSDK_TIMEOUT)])
        server.rule(0)
        self.assertEqual(self.notices(), [(REPLY, ResultCode.SERVERSDK_TIMEOUT)])
        self.step(1, REQUEST, -3)
        server.rule(0)
        self.step(2, REPLY, -2, 100104)
        self.notices()
        self.codes()
        self.reactor.advance(5)
        self.assertEqual(self.codes(), [(2, OK)])
        self.assertEqual(self.notices(), [(REPLY, ResultCode.VIDEOCALL_REJECT)])

    def test_killed(self):
        """206 to whoever waits for it; the next call does without it."""
        server = self.server(verdicts=JUDGE)
        self.step(1, REQUEST, -3)
        server.pipe.cut()
        self.assertEqual(self.codes(), [(1, ResultCode.SERVERSDK_FAIL)])
        self.step(1, REQUEST, -3)
        self.assertEqual(self.codes(), [(1, OK)])

    def test_control(self):
        """VideoCallControl ends a call; without one it is refused with 100107."""
        server = self.server()
        self.step(1, REQUEST, -3)
        self.step(2, REPLY, -2)
        self.notices()
        values = {"flags": 3, "param": 9, "text": "closing time"}
        finish = {"event": 4, "user_id": -2, "error": 4711, **values}
        result = server.link.call(commands.VideoCallControl, **finish)
        self.flush()
        self.successResultOf(result)
        self.assertEqual(self.notices(), [(FINISH, 4711)] * 2)
        result = server.link.call(commands.VideoCallControl, **finish)
        self.flush()
        refused = self.failureResultOf(result, Refused).value
        self.assertEqual(refused.code, ResultCode.VIDEOCALL_NOTINCALL)
