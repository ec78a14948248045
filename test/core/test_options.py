"""Options of clients, and the default media parameters."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import SetSDKOption
from anychat.codes import SDKOption
from anychat.core.commands import SessionMessage
from anychat.core.effects import AnnounceParameters, Reply
from anychat.core.hall import Hall
from anychat.core.options import option
from anychat.messages import Logout, OptionValue, QuerySDKOption, Result
from anychat.messages import SetSDKOption as ClientOption
from test.core.driver import DEMO, Driver


class ClientOptionTests(SynchronousTestCase):
    """Options of a session."""

    def setUp(self):
        self.core = Driver()
        self.ann = self.core.login("ann")

    def get(self, number):
        """The value of an option, or the code."""
        answer = self.core.answer(self.ann, QuerySDKOption(number))
        self.assertIsInstance(answer, OptionValue)
        return answer.code or answer.number

    def test_kept(self):
        """What was set is there, and is the default before."""
        session = self.core.state.sessions[self.ann]
        for number, first, other in ((40, 1, 3), (228, 1, 0)):
            self.assertEqual(self.get(number), first)
            self.assertEqual(option(session, SDKOption(number)), first)
            effects = self.core.ask(self.ann, ClientOption(number, other))
            self.assertIn(Reply(self.ann, 7, Result(0)), effects)
            answer = self.core.answer(self.ann, QuerySDKOption(number))
            self.assertEqual(answer.number, other)
            self.assertEqual(option(session, SDKOption(number)), other)

    def test_onlyNewsIsAChange(self):
        """Setting what is set leaves no trace."""
        before = len(self.core.journal)
        self.core.ask(self.ann, ClientOption(40, 1))
        self.assertEqual(len(self.core.journal), before)
        for _ in range(2):
            self.core.ask(self.ann, ClientOption(40, 0))
        self.assertEqual(len(self.core.journal), before + 1)

    def test_wrong(self):
        """20 for options that the server does not feel, 21 for numbers."""
        for code, number, value in (
            (20, 30, 1),
            (20, 230, 1),
            (20, 0, 1),
            (20, 2**32 - 1, 1),
            (21, 40, 4),
            (21, 40, -1),
            (21, 228, 2),
        ):
            self.assertEqual(
                self.core.code(self.ann, ClientOption(number, value)), code
            )
        for number in (30, 110, 0):
            self.assertEqual(self.get(number), 20)

    def test_serverTime(self):
        """230 is what the shell says."""
        command = SessionMessage(self.ann, 7, QuerySDKOption(230), clock=1795000000123)
        (reply,) = self.core.run(command)
        self.assertEqual(reply.message, OptionValue(0, 1795000000123))

    def test_snapshot(self):
        """Options end with the session, and are in a snapshot until then."""
        self.core.ask(self.ann, ClientOption(40, 2))
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)
        self.core.ask(self.ann, Logout())
        again = self.core.login("ann")
        self.assertEqual(self.core.state.sessions[again].options, {})


class ParameterTests(SynchronousTestCase):
    """Default media parameters, chosen by a business server."""

    def setUp(self):
        self.core = Driver()

    def tearDown(self):
        """A snapshot has them."""
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)

    def set(self, number, value):
        """Effects and code of a call."""
        effects, answer = self.core.call(SetSDKOption(number, value))
        return effects, answer.code

    def test_appliedTogether(self):
        """What is chosen waits for option 35, and is then told to everybody."""
        for number, value in ((30, b"500000"), (38, b"640"), (39, b"480")):
            self.assertEqual(self.set(number, value), ([], 0))
        parameters = replace(
            DEMO.parameters, video_bitrate=500000, video_width=640, video_height=480
        )
        self.assertEqual(self.set(35, b"1"), ([AnnounceParameters(parameters)], 0))
        self.assertEqual(self.set(35, b"1"), ([], 0))

    def test_backToOwn(self):
        """0 brings the configuration's back, and forgets what was chosen."""
        self.set(33, b"5")
        self.assertEqual(self.set(35, b"0"), ([], 0))
        self.assertEqual(self.set(35, b"1"), ([], 0))
        self.set(33, b"5")
        self.set(35, b"1")
        self.set(34, b"1")
        self.assertEqual(self.set(35, b"0"), ([AnnounceParameters(DEMO.parameters)], 0))
        self.assertEqual((self.core.state.chosen, self.core.state.applied), ({}, {}))

    def test_changedAgain(self):
        """Later choices replace earlier ones; until 35 the earlier hold."""
        self.set(33, b"5")
        self.set(35, b"1")
        self.set(33, b"6")
        self.assertEqual(self.core.state.applied, {33: 5})
        self.assertEqual(
            self.set(35, b"1"),
            ([AnnounceParameters(replace(DEMO.parameters, video_fps=6))], 0),
        )

    def test_wrong(self):
        """20 for other options, 21 for what is no number, or not one of theirs."""
        for code, number, value in (
            (20, 1, b"1"),
            (20, 20, b"1"),
            (20, 40, b"1"),
            (20, -1, b"1"),
            (21, 35, b"2"),
            (21, 35, b""),
            (21, 30, b"100000001"),
            (21, 30, b"-1"),
            (21, 31, b"6"),
            (21, 33, b"0"),
            (21, 38, b"321"),
            (21, 93, b"0"),
            (21, 93, b"3"),
            (21, 33, b"\xff"),
            (21, 33, b"x" * 60_000),
            (21, 33, b"9" * 60_000),
        ):
            self.assertEqual(self.set(number, value), ([], code), (number, value[:9]))
        self.assertEqual(self.core.state.chosen, {})
