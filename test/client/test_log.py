"""The client's log keeps the product's format and its bound."""

import os
from datetime import datetime

from twisted.trial.unittest import SynchronousTestCase

from anychat.client import log
from anychat.client.log import ClientLog
from anychat.codes import Capability, ResultCode
from anychat.messages import ServerHello


def hello(**changes):
    """A server's hello with ordinary values."""
    values = {
        "version": 1,
        "capabilities": Capability.MEDIA,
        "nonce": bytes(16),
        "salt": bytes(16),
        "proof_required": False,
        "server_version": "5.2",
        "build_time": "Nov 20 2016 10:00:00",
        "operating_system": "Linux",
        "uptime": ((2 * 24 + 3) * 60 + 4) * 60 + 5,
        "licence_mode": 0,
        "check_time": 5000,
        "timeout": 20000,
    }
    return ServerHello(**{**values, **changes})


class ClientLogTests(SynchronousTestCase):
    """`ClientLog`."""

    def setUp(self):
        """A log in a directory of its own, at a fixed time."""
        self.path = os.path.join(self.mktemp(), "BRAnyChatCore.log")
        os.makedirs(os.path.dirname(self.path))
        self.when = datetime(2026, 1, 2, 3, 4, 5, 6000).timestamp()

    def read(self, suffix=""):
        """The log's text."""
        with open(self.path + suffix, encoding="utf-8") as file:
            return file.read()

    def test_line(self):
        """A line is the stamp, a tab and the text."""
        ClientLog(self.path, wall_clock=lambda: self.when)("hello")
        self.assertEqual(self.read(), "[2026-01-02 03:04:05(6)]\thello\n")

    def test_oneLine(self):
        """What a peer sent can neither begin a line nor steer a terminal."""
        ClientLog(self.path, wall_clock=lambda: self.when)("a\nb\x1b[2J\udc80")
        self.assertEqual(self.read().count("\n"), 1)
        self.assertIn("a\\x0ab\\x1b[2J\\xdc80", self.read())

    def test_bounded(self):
        """The file and the one before it never pass the bound."""
        write = ClientLog(self.path, maximum=1000, wall_clock=lambda: self.when)
        for number in range(200):
            write(f"line {number:03}")
        self.assertLessEqual(os.path.getsize(self.path), 1000)
        self.assertLessEqual(os.path.getsize(self.path + ".1"), 1000)
        self.assertIn("line 199", self.read())

    def test_longLineCut(self):
        """A single line cannot fill the disk."""
        ClientLog(self.path, wall_clock=lambda: self.when)("x" * 100000)
        self.assertLess(os.path.getsize(self.path), 1100)

    def test_unwritable(self):
        """A log that cannot be written is counted and otherwise ignored."""
        write = ClientLog(os.path.join(self.path, "nowhere"))
        write("hello")
        self.assertEqual(write.dropped, 1)

    def test_none(self):
        """Without a path nothing is written."""
        write = ClientLog(None)
        write("hello")
        self.assertEqual(write.dropped, 0)

    def test_productLines(self):
        """The lines are the product's, word for word."""
        self.assertEqual(
            log.server_version_line(hello()),
            "Server version: V5.2(Build Time:Nov 20 2016 10:00:00, Server OS:Linux)",
        )
        self.assertEqual(
            log.server_running_line(hello()),
            "Server running time: 2 days, 3 hours, 4 minutes, license mode:0",
        )
        self.assertEqual(
            log.connect_line(ResultCode.SUCCESS), "Message OnConnect(1, 0)"
        )
        self.assertEqual(
            log.connect_line(ResultCode.CONNECT_AUTHFAIL), "Message OnConnect(0, 102)"
        )
        self.assertEqual(
            log.login_line(-2, ResultCode.SUCCESS, "ann"),
            "Message OnLoginSystem(-2, 0, ann)",
        )
        self.assertEqual(
            log.enter_room_line(1, ResultCode.SUCCESS), "Message OnEnterRoom(1, 0, 0)"
        )
        self.assertEqual(
            log.online_user_line(2, 1), "Message OnReceiveOnlineUser(2, 1)"
        )
        self.assertEqual(
            log.udp_line(0.0312),
            "Connection to streaming media server successfully!(udp delay:31ms)",
        )
