"""``anychat-client send-text``, with a client that the test plays."""

from argparse import Namespace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.join import CANNOT_CONNECT, FINE, LOGOUT_TIME, REFUSED
from anychat.client.options import parse
from anychat.client.send_text import SendText
from anychat.codes import ResultCode
from anychat.errors import Refused
from test.client.test_nat import Printed


class FakeClient:
    """As much of a client as the command uses."""

    def __init__(self, reactor, **options):
        self.options = options
        self.transfers = Namespace()
        self.user_id, self.room_id = 7, 0
        self.done = []
        self.outcomes = {}

    def _call(self, *call):
        self.done.append(call)
        outcome = self.outcomes.get(call[0])
        return succeed(None) if outcome is None else outcome

    def connect(self, host, port):
        """As the client's."""
        return self._call("connect", host, port)

    def login(self, name, password):
        """As the client's."""
        return self._call("login", name, password)

    def enter_room(self, room, password):
        """As the client's."""
        self.room_id = room
        return self._call("enter", room, password)

    def send_text(self, text, target, secret):
        """As the client's."""
        return self._call("send", text, target, secret)

    def logout(self):
        """As the client's."""
        return self._call("logout")

    def close(self):
        """As the client's."""
        self._call("close")


class SendTextTests(SynchronousTestCase):
    """The command."""

    def command(self, *arguments, environment=(), **outcomes):
        """A run that has begun."""
        self.clock = Clock()
        self.printed, self.complaints = Printed(), []
        options = parse(
            ["send-text", "10.0.0.1", *arguments, "--user", "ann", "--insecure"],
            dict(environment),
        )
        job = SendText(
            self.clock, options, self.printed, self.complaints.append, self.make
        )
        self.client.outcomes = outcomes
        job.start()
        return job

    def make(self, reactor, **options):
        """The client of the run."""
        self.client = FakeClient(reactor, **options)
        return self.client

    def code(self, job):
        """The exit code."""
        return self.successResultOf(job.done)

    def test_toAUser(self):
        """Nobody enters a room for it."""
        job = self.command(
            *("hello", "--to=-2", "--secret"),
            environment={"ANYCHAT_PASSWORD": "p"}.items(),
        )
        self.assertEqual(self.code(job), FINE)
        self.assertEqual(
            self.client.done,
            [
                ("connect", "10.0.0.1", 8906),
                ("login", "ann", "p"),
                ("send", "hello", -2, True),
                ("logout",),
                ("close",),
            ],
        )
        self.assertEqual(self.printed.objects, [])

    def test_toTheRoom(self):
        """Texts go one after the other, and are told with --json."""
        job = self.command("one", "two", "--room", "5", "--json")
        self.assertEqual(self.code(job), FINE)
        self.assertEqual(
            [call for call in self.client.done if call[0] in ("enter", "send")],
            [("enter", 5, ""), ("send", "one", -1, False), ("send", "two", -1, False)],
        )
        self.assertEqual(
            self.printed.objects,
            [
                (
                    "text_sent",
                    {
                        "user_id": 7,
                        "room_id": 5,
                        "target": -1,
                        "secret": False,
                        "text": text,
                    },
                )
                for text in ("one", "two")
            ]
            + [("summary", {"code": 0, "sent": 2})],
        )

    def test_refused(self):
        """What fails ends it with its code: 1 refused, 3 no connection."""
        for call, code, exit_code in (
            ("connect", ResultCode.CONNECT_ABORT, CANNOT_CONNECT),
            ("login", ResultCode.VISITOR_DENY, REFUSED),
            ("enter", ResultCode.ROOM_FULLUSER, REFUSED),
            ("send", ResultCode.INVALID_USERID, REFUSED),
        ):
            job = self.command("x", "--room", "5", **{call: fail(Refused(code))})
            self.assertEqual(self.code(job), exit_code)
            self.assertIn(f"{code.value} {code.name}", self.complaints[0])
            self.assertEqual(self.client.done[-1], ("close",))

    def test_noAnswerToTheLogout(self):
        """It does not wait for a server that does not let go."""
        job = self.command("x", "--to", "8", logout=Deferred())
        self.assertNoResult(job.done)
        self.clock.advance(LOGOUT_TIME)
        self.assertEqual(self.code(job), FINE)

    def test_interrupted(self):
        """Ctrl-C: what was not sent is not, and the exit code says so."""
        job = self.command("x", "--to", "8", send=Deferred())
        self.assertEqual(self.successResultOf(job.finish(FINE)), REFUSED)
        self.assertEqual(self.complaints, [])

    def test_interruptedEarly(self):
        """Before there is a session nobody was reached."""
        job = self.command("x", "--to", "8", connect=Deferred())
        self.client.user_id = 0
        self.assertEqual(self.successResultOf(job.finish(FINE)), CANNOT_CONNECT)

    def test_usage(self):
        """2 for what cannot be meant."""
        for arguments in (
            ("x",),
            ("x", "--room", "1", "--secret"),
            ("", "--room", "1"),
            ("x" * 16385, "--room", "1"),
            ("x", "--to", "4294967296"),
            ("--room", "1"),
        ):
            with self.assertRaises(SystemExit) as raised:
                self.command(*arguments)
            self.assertEqual(raised.exception.code, 2)
