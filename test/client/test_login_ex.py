"""Logging in with a signature, and again; options after that; new parameters."""

from dataclasses import replace

from twisted.internet.defer import Deferred, fail

from anychat.client.session import SignedUser
from anychat.codes import ResultCode, SignatureScheme
from anychat.errors import Refused
from anychat.messages import (
    LoginEx,
    OpenStream,
    RenewStreams,
    SetSDKOption,
    StreamOpened,
)
from test.client.client_case import OK, ClientTestCase
from test.client.server import PARAMETERS


class SignedTestCase(ClientTestCase):
    """A program that signs, over what passes for TLS."""

    def setUp(self):
        """Nothing is signed yet."""
        super().setUp()
        self.signed = 0

    def sign(self):
        """The next signature."""
        self.signed += 1
        return SignedUser(b"%d" % self.signed, 1795000000 + self.signed, "APP", 7, "u7")

    def connect(self, sign):
        """Log in; the outcome."""
        self.client.connect("localhost")
        self.secure()
        outcome = self.client.login_ex("Ann", sign)
        self.server.flush()
        return outcome

    def secure(self):
        """Let what passes for a plain link carry a signature."""
        self.server.flush()
        self.client._session.connection.link.secure = True

    def logins(self):
        """What the server got."""
        return [m for _, m in self.server.side.received if isinstance(m, LoginEx)]


class LoginExTests(SignedTestCase):
    """`Client.login_ex`."""

    def test_granted(self):
        """The signature and what it says go out as they are."""
        result = self.successResultOf(self.connect(self.sign))
        self.assertEqual(result.nickname, "Ann")
        (login,) = self.logins()
        self.assertEqual(
            replace(login, local_address=""),
            LoginEx(
                *("Ann", 7, "u7", "APP", 1795000001),
                SignatureScheme.RSA_MD5,
                *(b"1", ""),
            ),
        )

    def test_later(self):
        """The signature may take its time."""
        signing = Deferred()
        outcome = self.connect(lambda: signing)
        self.assertEqual(self.logins(), [])
        signing.callback(self.sign())
        self.server.flush()
        self.successResultOf(outcome)

    def test_tooLate(self):
        """A signature that comes when the connection is gone goes nowhere."""
        signing = Deferred()
        outcome = self.connect(lambda: signing)
        self.lose()
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_ABORT)
        signing.callback(self.sign())
        self.assertEqual(self.logins(), [])

    def test_noSignature(self):
        """A program that cannot sign fails its own login."""
        for sign, code in (
            (lambda: 1 // 0, ResultCode.REQUESTFAILED),
            (lambda: fail(ValueError("no key")), ResultCode.REQUESTFAILED),
            (
                lambda: fail(Refused(ResultCode.SIGPRIVATEKEYEMPTY)),
                ResultCode.SIGPRIVATEKEYEMPTY,
            ),
        ):
            outcome = self.connect(sign)
            self.assertEqual(self.code(outcome), code)
            self.client.close()

    def test_unfit(self):
        """21 for what fits no message; nothing is sent."""
        outcome = self.connect(lambda: replace(self.sign(), string_id="x" * 200))
        self.assertEqual(self.code(outcome), ResultCode.FUNCOPTERROR)
        self.assertEqual(self.logins(), [])

    def test_plainLink(self):
        """74: a plain link carries no signature."""
        self.client.connect("localhost")
        self.server.flush()
        outcome = self.client.login_ex("Ann", self.sign)
        self.server.flush()
        self.assertEqual(self.code(outcome), ResultCode.CERTHIGHSECURITY)

    def test_again(self):
        """A lost session is followed by a login with a fresh signature."""
        self.successResultOf(self.connect(self.sign))
        self.server.side.take()
        self.client.options.set(40, 2)
        self.serve(OK, SetSDKOption(40, 2))
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.lose()
        self.client._session.connection_ready = self.secured(
            self.client._session.connection_ready
        )
        self.come_back()
        self.assertEqual([login.signature for login in self.logins()], [b"2"])
        self.assertIn(
            SetSDKOption(40, 2), [message for _, message in self.server.side.received]
        )

    @staticmethod
    def secured(ready):
        """The next connection passes for TLS, too."""

        def connection_ready(connection):
            connection.link.secure = True
            ready(connection)

        return connection_ready


class ParametersTests(SignedTestCase):
    """Publications follow the media parameters."""

    def setUp(self):
        """Publish something in a room."""
        super().setUp()
        self.successResultOf(self.connect(self.sign))
        self.server.side.take()
        self.client.enter_room(1)
        self.server.flush()
        self.server.let_in()
        published = self.client.publish(object())
        for ssrc in (100, 101):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))
        self.publishing = self.successResultOf(published)
        self.server.side.received.clear()

    def test_renewed(self):
        """What is published is opened anew; there are no keys used twice."""
        self.tell(replace(PARAMETERS, video_fps=5))
        self.check_renewed()

    def test_kickedOut(self):
        """So it is when the server says that somebody has the old keys."""
        self.tell(RenewStreams())
        self.check_renewed()

    def check_renewed(self):
        """Both streams come back under keys of their own."""
        opened = [m for _, m in self.server.side.received if isinstance(m, OpenStream)]
        self.assertEqual(len(opened), 1)
        for ssrc in (102, 103):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"l" * 16, b"s" * 12))
        self.assertEqual(sorted(self.publishing.opened.values()), [102, 103])
