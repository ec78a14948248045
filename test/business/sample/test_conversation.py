"""The sample connected to the core's service for business servers."""

from pathlib import Path

from twisted.internet.defer import maybeDeferred, succeed
from twisted.logger import LogPublisher, formatEvent

from anychat.business.sample import passwords
from anychat.business.sample.server import SampleServer
from anychat.business.sample.users import Users
from anychat.business.settings import Settings
from anychat.business_messages import (
    Arbiter,
    OnRecvUserFilterData,
    OnUserEnterRoomAction,
    OnUserLoginAction,
    PrepareEnterRoom,
    Presence,
    SendBufToUser,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.log import Log
from test.services.business_servers import BusinessTestCase, cached_key

ANN = Presence(1, "ann", 0, "192.0.2.7", 5)


class CoreEndpoint:
    """Connects to the test's service."""

    def __init__(self, test):
        self.test = test

    def connect(self, factory):
        """Connect at once."""
        link = factory.buildProtocol(self.test.address("127.0.0.1"))
        self.test.pipe = self.test.plug(link)
        return succeed(link)


class ConversationTests(BusinessTestCase):
    """Both ends are the real ones."""

    def setUp(self):
        super().setUp()
        self.patch(passwords, "N", 2)
        self.patch(passwords, "P", 1)
        self.users = Users(Path(self.mktemp()).absolute())
        self.users.add("ann", "apple")
        self.core.present = (ANN,)
        self.lines = []
        self.sample = self.started()
        self.assertLines(
            "connect core server successed",
            "Online users: ann (1)",
            f"Users in {self.users.path}: 1",
            among=True,
        )

    def started(self):
        """A sample that has connected."""
        log = Log(LogPublisher(lambda event: self.lines.append(formatEvent(event))))
        sample = SampleServer(
            self.reactor,
            Settings(),
            self.users,
            log=log,
            in_thread=maybeDeferred,
            random_bytes=bytes,
            uniform=lambda least, most: most,
            endpoint=lambda host, port: CoreEndpoint(self),
            derive=cached_key,
        )
        sample.startService()
        self.addCleanup(sample.stopService)
        self.flush()
        return sample

    def assertLines(self, *lines, among=False):
        """These lines have been printed, in this order."""
        printed, self.lines = self.lines, []
        if among:
            printed = [line for line in printed if line in lines]
        self.assertEqual(printed, list(lines))

    def test_login(self):
        """The right password lets in under the user's id, the wrong one gets 200."""
        for password, verdict in (
            ("apple", Verdict(ResultCode.SUCCESS, 1)),
            ("pear", Verdict(ResultCode.CERTIFY_FAIL)),
        ):
            self.assertEqual(self.ask(VerifyUser("ann", password)), [verdict])
        self.assertLines(
            "VerifyUser(ann): is user 1",
            "VerifyUser(ann): 200 wrong user name or password",
        )

    def test_room(self):
        """Everybody may enter; what follows is printed in its order."""
        verdicts = self.ask(PrepareEnterRoom(1, 5, "", "secret"))
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS)])
        self.service.tell(OnUserEnterRoomAction(1, 5))
        self.service.tell(OnUserLoginAction(-2, "gil", 0, "192.0.2.8"))
        self.flush()
        self.assertLines(
            "PrepareEnterRoom: ann (1) may enter room 5",
            "OnUserEnterRoomAction: ann (1) in room 5",
            "OnUserLoginAction: gil (-2) from 192.0.2.8",
        )

    def test_filterData(self):
        """Data of a client makes its way back to it."""
        self.service.tell(OnRecvUserFilterData(1, b"ping"))
        self.flush()
        self.assertEqual(self.core.calls, [SendBufToUser(1, b"ping")])

    def test_interruption(self):
        """After the connection was lost it is made again, and nothing was missed."""
        self.pipe.cut()
        self.assertEqual(self.core.arbiters_told[-1][0], Arbiter.AWAY.name)
        self.assertEqual(
            self.ask(VerifyUser("ann", "apple")), [Verdict(ResultCode.SERVERSDK_FAIL)]
        )
        self.service.tell(OnUserEnterRoomAction(1, 5))
        self.lines.clear()
        self.reactor.advance(2)
        self.flush()
        self.assertLines(
            "connect core server successed",
            "OnUserEnterRoomAction: ann (1) in room 5",
            among=True,
        )
        self.assertEqual(
            self.ask(VerifyUser("ann", "apple")), [Verdict(ResultCode.SUCCESS, 1)]
        )

    def test_noUsers(self):
        """Without users it runs, and says how to add one."""
        self.users.path.unlink()
        self.started()
        self.assertIn(
            f"Users in {self.users.path}: 0; 'anychat-business adduser NAME' adds one",
            self.lines,
        )

    def test_noDatabase(self):
        """With a file that cannot be used it runs, says so, and lets nobody in."""
        self.users.path.write_text("shopping list\n")
        self.started()
        trouble = (
            f"{self.users.path}: is no SQLite database; move it away to begin anew"
        )
        self.assertIn(trouble, self.lines)
        self.lines.clear()
        verdict = Verdict(ResultCode.SERVERSDK_FAIL)
        self.assertEqual(self.ask(VerifyUser("ann", "apple")), [verdict])
        self.assertLines(f"VerifyUser(ann) failed: {trouble}")

    def test_twice(self):
        """A second one of the same name is asked from then on; the first says why."""
        first = self.sample
        self.lines.clear()
        second = self.started()
        self.assertEqual((first.connected, second.connected), (False, True))
        [line] = [line for line in self.lines if "another business server" in line]
        self.assertIn("Name", line)
        self.assertEqual(
            self.ask(VerifyUser("ann", "apple")), [Verdict(ResultCode.SUCCESS, 1)]
        )
