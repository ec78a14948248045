"""Signed logins, blocked addresses and new parameters, on clients' links."""

from dataclasses import replace

from anychat.codes import ResultCode, SignatureScheme
from anychat.core.commands import LinkSignedLogin
from anychat.messages import (
    Connect,
    LinkClose,
    Login,
    LoginEx,
    LoginResult,
    QuerySDKOption,
)
from anychat.protocols.signature import SignatureKey, sign
from anychat.services.signatures import (
    SignatureCheck,
    SignatureSettings,
    digest,
)
from test.protocols.test_signature import ed_key, private, public
from test.services.links_case import PARAMETERS, LinksTestCase

NOW = 1795000000
ED = SignatureScheme.ED25519


def login(user_id=7, string_id="u7", app_id="APP", timestamp=NOW):
    """A login with a right signature."""
    signature = sign(private(ed_key()), ED, user_id, string_id, app_id, timestamp)
    return LoginEx("Ann", user_id, string_id, app_id, timestamp, ED, signature, "")


class SignedLinksTestCase(LinksTestCase):
    """A server with a wall clock, that takes signatures."""

    def check(self, **settings):
        """What looks at signatures."""
        values = {"key": SignatureKey(public(ed_key())), "app_id": "app", **settings}
        return SignatureCheck(SignatureSettings(**values), lambda: NOW)

    def serve(self, password="", secure=True, **settings):
        """Make the server anew."""
        super().serve(password, secure)
        self.blocked = set()
        self.links._is_blocked = self.blocked.__contains__
        self.links._signatures = self.check(**settings)
        self.links._clock = lambda: NOW + 0.5


class SignatureCheckTests(SignedLinksTestCase):
    """`SignatureCheck`."""

    def code(self, message, **settings):
        """What comes of a login."""
        return self.check(**settings).check(message)

    def test_right(self):
        """0, whatever the case of the app id, and without one configured."""
        for app_id, own in (("APP", "app"), ("app", "APP"), ("x", "")):
            self.assertEqual(self.code(login(app_id=app_id), app_id=own), 0)
        self.assertEqual(self.code(login(-1)), 0)
        self.assertEqual(self.code(login(7, "")), 0)

    def test_wrong(self):
        """Each fault has its code; the first of them is told."""
        for code, message in (
            (214, replace(login(), signature=b"")),
            (218, login(-1, "")),
            (218, login(app_id="")),
            (218, login(timestamp=0)),
            (219, login(0)),
            (219, login(-2)),
            (219, replace(login(), string_id='"')),
            (219, replace(login(), app_id="\\")),
            (100305, login(app_id="other")),
            (215, replace(login(), user_id=8)),
            (215, replace(login(), scheme=SignatureScheme.RSA_MD5)),
        ):
            self.assertEqual(self.code(message), code)
        self.assertEqual(self.code(login(), key=None), ResultCode.SIGPUBLICKEYEMPTY)

    def test_time(self):
        """220 for what is older than the window, or from as far in the future."""
        for seconds, code in ((300, 0), (-300, 0), (301, 220), (-301, 220)):
            self.assertEqual(self.code(login(timestamp=NOW + seconds)), code)
        self.assertEqual(self.code(login(timestamp=NOW - 301), window=400.0), 0)
        self.assertGreaterEqual(self.check().remaining, 600)

    def test_secret(self):
        """A signature shows nowhere."""
        self.assertNotIn("signature=b", repr(login()))


class SignedLoginTests(SignedLinksTestCase):
    """`LoginEx` on a link."""

    def ask(self, message):
        """A client's login, as it reaches the core."""
        client = self.client()
        client.ask(message)
        return client, self.commands[-1]

    def test_command(self):
        """The core gets what the check found, and what the signature is known by."""
        for message, checked in (
            (login(), ResultCode.SUCCESS),
            (login(timestamp=1), ResultCode.SIGTIMEFAILURE),
        ):
            _, command = self.ask(message)
            self.assertIsInstance(command, LinkSignedLogin)
            self.assertEqual(command.message, message)
            self.assertEqual(command.checked, checked)
            self.assertEqual(command.digest, digest(message))
            self.assertEqual(command.address, "127.0.0.1")
            self.assertTrue(command.secure)

    def test_granted(self):
        """The session begins as any other."""
        client, command = self.ask(login())
        client.heard()
        self.users = -9
        self.start(replace(command, message=Login(command.message.nickname, "")))
        client.pipe.flush()
        self.assertIsInstance(client.heard()[0], LoginResult)

    def test_refused(self):
        """The client may try again, so often."""
        client = self.client()
        for _ in range(5):
            client.ask(login())
            command = self.commands[-1]
            self.links.refuse_login(
                command.link, command.request, ResultCode.SIGALREADYUSED
            )
            client.pipe.flush()
        heard = client.heard()
        self.assertEqual(heard.count(LoginResult(ResultCode.SIGALREADYUSED)), 5)
        self.assertEqual(heard[-1], LinkClose(ResultCode.SIGALREADYUSED))

    def test_dropped(self):
        """A link that goes while its login is looked at is told to the core."""
        client, command = self.ask(login())
        client.link.abort()
        client.pipe.flush()
        self.assertEqual(self.commands[-1].session, command.session)

    def test_required(self):
        """100301 without one, guests included, and the core is not asked."""
        self.serve(require=True)
        client = self.client()
        for password in ("", "p"):
            client.ask(Login("ann", password))
        self.assertEqual(
            client.heard()[-2:], [LoginResult(ResultCode.APPID_SIGNEED)] * 2
        )
        self.assertEqual(self.commands, [])
        client.ask(login())
        self.assertIsInstance(self.commands[-1], LinkSignedLogin)

    def test_plainLink(self):
        """A signature is not taken from a plain link, nor sent over one."""
        self.serve()
        client = self.client(tls=False)
        with self.assertRaises(Exception) as raised:
            client.link.send(login(), 1)
        self.assertEqual(raised.exception.code, ResultCode.CERTHIGHSECURITY)
        client.link.secure = True
        client.ask(login())
        self.assertEqual(client.heard()[-1], LinkClose(ResultCode.PROTOCOLFAIL))
        self.assertEqual(self.commands, [])


class BlockedTests(SignedLinksTestCase):
    """Who may not connect."""

    def test_refused(self):
        """113 at the hello, over TLS and without."""
        self.blocked.add("127.0.0.1")
        for tls in (True, False):
            client = self.client(tls=tls)
            self.assertEqual(client.owner.reason.code, ResultCode.CONNECT_IPFORBID)
        self.assertIn("address is blocked.(errorcode=113)", "\n".join(self.log))

    def test_others(self):
        """Others may, and who is there stays; he may not come back."""
        user = self.user()
        self.blocked.add("127.0.0.1")
        user.ask(QuerySDKOption(40))
        self.assertEqual(self.commands[-1].message, QuerySDKOption(40))
        self.assertEqual(self.client(address="192.0.2.7").owner.events[-1], "ready")

    def test_beforeTheProof(self):
        """Who is blocked is told so, whatever it knows."""
        self.serve("sesame")
        self.blocked.add("127.0.0.1")
        client = self.client(password="wrong")
        self.assertEqual(client.owner.reason.code, ResultCode.CONNECT_IPFORBID)
        self.assertNotIn(Connect(ResultCode.CONNECT_AUTHFAIL), client.heard())

    def test_afterTheHello(self):
        """A link that was ready before gets no session either, in no way."""
        user = self.user()
        ready = [self.client() for _ in range(3)]
        self.blocked.add("127.0.0.1")
        ready[0].ask(Login("guest", ""))
        ready[1].ask(login())
        ready[2].link.resume(user.link.channel, self.token, 99)
        ready[2].pipe.flush()
        for client in ready:
            self.assertEqual(client.heard()[-1], LinkClose(ResultCode.CONNECT_IPFORBID))
        user.ask(QuerySDKOption(40))
        self.assertEqual([c.message for c in self.commands], [QuerySDKOption(40)])


class ParametersTests(SignedLinksTestCase):
    """`announce`, and the clock."""

    def test_announced(self):
        """Everybody who is there is told, and everybody who comes."""
        user = self.user()
        user.heard()
        other = replace(PARAMETERS, video_fps=5)
        self.links.announce(other)
        user.pipe.flush()
        self.assertEqual(user.heard(), [other])
        client = self.client()
        client.ask(Login("guest", ""))
        self.assertIn(other, client.heard())

    def test_afterResync(self):
        """Who missed it is told the new ones when it comes back."""
        other = replace(PARAMETERS, video_fps=5)
        user = self.user()
        user.link.heartbeat()  # it has what it was told at the login
        user.pipe.flush()
        user.link.abort()
        user.pipe.flush()
        self.links.announce(other)
        (held,) = self.links._sessions.values()
        held.let_go()
        heard = self.resume(user).heard()
        self.assertTrue(heard[0].resync)
        self.assertIn(other, heard)
        self.assertNotIn(PARAMETERS, heard)

    def test_clock(self):
        """Who asks for the time gets that of this moment, others none."""
        user = self.user()
        user.ask(QuerySDKOption(230))
        self.assertEqual(self.commands[-1].clock, NOW * 1000 + 500)
