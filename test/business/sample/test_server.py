"""What the sample answers, and what it prints."""

from pathlib import Path

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    fail,
    maybeDeferred,
    succeed,
)
from twisted.internet.task import Clock
from twisted.logger import LogPublisher, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.sample import passwords
from anychat.business.sample.server import CHECKS, SampleServer
from anychat.business.sample.users import Users
from anychat.business.server import UserVerdict
from anychat.business.settings import Settings
from anychat.business_messages import Presence
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.log import Log


class ServerTestCase(SynchronousTestCase):
    """A sample whose lines are kept, and whose threads are this one."""

    in_thread = staticmethod(maybeDeferred)

    def setUp(self):
        self.patch(passwords, "N", 2)
        self.patch(passwords, "P", 1)
        self.path = Path(self.mktemp()).absolute()
        self.users = Users(self.path)
        self.lines = []
        log = Log(LogPublisher(lambda event: self.lines.append(formatEvent(event))))
        self.server = SampleServer(
            Clock(), Settings(), self.users, log=log, in_thread=self.in_thread
        )

    def assertPrints(self, *lines):
        """These lines have been printed since the last time."""
        self.assertEqual(self.lines, list(lines))
        self.lines.clear()

    def verify(self, name, password):
        """Ask whether somebody may sign in."""
        return Deferred.fromCoroutine(self.server.verify_user(name, password))


class VerifyTests(ServerTestCase):
    """Who is let in."""

    def test_right(self):
        """Who is among the users is let in under the id that is kept."""
        self.users.add("bob", "pear")
        self.users.add("ann", "apple")
        verdict = self.successResultOf(self.verify("ann", "apple"))
        self.assertEqual(verdict, UserVerdict(2))
        self.assertPrints("VerifyUser(ann): is user 2")

    def test_wrong(self):
        """A wrong password and an unknown name are the same to the client."""
        self.users.add("ann", "apple")
        for name in ("ann", "bob"):
            code = self.successResultOf(self.verify(name, "pear"))
            self.assertEqual(code, ResultCode.CERTIFY_FAIL)
            self.assertPrints(f"VerifyUser({name}): 200 wrong user name or password")

    def test_addedMeanwhile(self):
        """A user who is added while the server runs is let in at once."""
        self.assertEqual(self.successResultOf(self.verify("ann", "apple")), 200)
        self.users.add("ann", "apple")
        self.assertEqual(
            self.successResultOf(self.verify("ann", "apple")), UserVerdict(1)
        )

    def test_trouble(self):
        """A file that cannot be used lets nobody in, and is no wrong password."""
        self.path.write_text("shopping list\n")
        code = self.successResultOf(self.verify("ann", "apple"))
        self.assertEqual(code, ResultCode.SERVERSDK_FAIL)
        self.assertPrints(
            f"VerifyUser(ann) failed: {self.path}: is no SQLite database; move it "
            "away to begin anew"
        )

    def test_secret(self):
        """No password is printed."""
        self.users.add("ann", "apple")
        for password in ("apple", "pineapple"):
            self.verify("ann", password)
        self.path.write_text("shopping list\n")
        self.verify("ann", "apple")
        self.assertEqual(len(self.lines), 3)
        self.assertNotIn("apple", "".join(self.lines))


class TurnTests(ServerTestCase):
    """Checks that take their time."""

    def in_thread(self, function, *values):
        """Keep what is to be done in a thread."""
        done = Deferred()
        self.checks.append((done, values))
        return done

    def setUp(self):
        self.checks = []
        super().setUp()

    def test_bounded(self):
        """No more are under way than there are processors; the others wait."""
        waiting = [self.verify(f"user {n}", "p") for n in range(CHECKS + 2)]
        self.assertEqual(len(self.checks), CHECKS)
        self.checks[0][0].callback(None)
        self.assertEqual(self.successResultOf(waiting[0]), 200)
        self.assertEqual(len(self.checks), CHECKS + 1)
        self.assertEqual(self.checks[-1][1], (f"user {CHECKS}", "p"))

    def test_givenUp(self):
        """What nobody waits for any more is not checked."""
        waiting = [self.verify(f"user {n}", "p") for n in range(CHECKS + 2)]
        waiting[CHECKS].cancel()
        self.failureResultOf(waiting[CHECKS], CancelledError)
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.assertEqual(self.checks[-1][1], (f"user {CHECKS + 1}", "p"))
        self.assertEqual(len(self.checks), CHECKS + 1)
        # The thread could not be stopped, and ends in its time.
        self.checks[0][0].callback(None)
        self.assertEqual(len(self.checks), CHECKS + 1)


class PrintTests(ServerTestCase):
    """Everything that happens has its line."""

    def test_visit(self):
        """A user comes, talks and goes."""
        self.server.on_connected()
        self.server.on_online_users(())
        self.assertPrints("connect core server successed", "Online users: none")
        self.server.on_user_login_action(1, "ann", 0, "192.0.2.7")
        self.assertEqual(self.server.prepare_enter_room(1, 5, "", "secret"), 0)
        self.server.on_user_enter_room_action(1, 5)
        self.server.on_recv_user_text_msg(5, 1, -1, False, "hello")
        self.server.on_recv_user_text_msg(5, 1, -2, True, "hello")
        self.server.on_trans_buffer(1, b"12")
        self.server.on_user_leave_room_action(1, 5)
        self.server.on_user_logout_action_ex(1, ResultCode.SUCCESS)
        self.assertPrints(
            "OnUserLoginAction: ann (1) from 192.0.2.7",
            "PrepareEnterRoom: ann (1) may enter room 5",
            "OnUserEnterRoomAction: ann (1) in room 5",
            "OnRecvUserTextMsg: ann (1) to room 5: hello",
            "OnRecvUserTextMsg: ann (1) to user (-2): 5 characters in secret",
            "OnTransBuffer: ann (1), 2 bytes",
            "OnUserLeaveRoomAction: ann (1) from room 5",
            "OnUserLogoutActionEx: ann (1)",
        )

    def test_cutOff(self):
        """Why a session ended is told; a name is forgotten with its user."""
        self.server.on_user_login_action(1, "ann", 0, "192.0.2.7")
        self.lines.clear()
        for who in ("ann", "user"):
            self.server.on_user_logout_action_ex(1, ResultCode.LOGIN_NEWLOGIN)
            self.assertPrints(
                f"OnUserLogoutActionEx: {who} (1): 209 same user logged in elsewhere "
                "(link is dropped)"
            )

    def test_connection(self):
        """Lines about the connection itself."""
        bob = Presence(7, "bob", 0, "192.0.2.7", 0)
        gil = Presence(-2, "gil", 0, "::1", 5)
        self.server.on_user_login_action(1, "ann", 0, "192.0.2.7")
        self.lines.clear()
        self.server.on_app_message_ex(10, ResultCode.SUCCESS, 0)
        self.server.on_app_message_ex(10, ResultCode.SERVER_RESTART, 0)
        self.server.on_online_users((bob, gil))
        self.server.on_user_enter_room_action(1, 5)
        self.assertPrints(
            "AppMessageEx(10): 212 business server restarted",
            "Online users: bob (7), gil (-2)",
            "OnUserEnterRoomAction: user (1) in room 5",
        )

    def test_echo(self):
        """Data of a client is sent back; that the client has gone is no fault."""
        sent = []
        answers = [succeed(None), fail(Refused(ResultCode.INVALID_USERID))]

        def send(user_id, data):
            sent.append((user_id, data))
            return answers.pop(0)

        self.server.send_buf_to_user = send
        for _ in range(2):
            echo = Deferred.fromCoroutine(
                self.server.on_recv_user_filter_data(1, b"\0ping")
            )
            self.successResultOf(echo)
        self.assertEqual(sent, [(1, b"\0ping")] * 2)
        self.assertPrints(
            "OnRecvUserFilterData: user (1), 5 bytes",
            "OnRecvUserFilterData: user (1), 5 bytes",
            "SendBufToUser(1) failed: 205 INVALID_USERID: user id unknown",
        )
