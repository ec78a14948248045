"""Clients that read nothing, on real sockets, cost a bounded memory."""

import os
import socket

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.messages import EnterRoom, Heartbeat, Login, SendText, ServerParameters
from anychat.protocols.framing import MAGIC
from anychat.protocols.signalling import HelloFacts
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from anychat.services.links import ClientLinks
from anychat.services.settings import LinkSettings
from test.live.call import pause, until
from test.protocols.dialogue import frame, hello

PARAMETERS = ServerParameters(320, 240, 15, 30, 90000, 1, 3, 3, 16000, 1, 16, 11, 16000)
#: Clients that do not read.
DEAF = 40
#: Bytes that the server may keep for all its clients.
MAXIMUM = 16 << 20
#: What each link may have under way besides: Twisted's buffer and a frame.
UNDER_WAY = 2 << 16


class Guest:
    """A plain client that has entered room 1, without waiting for anything."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self._number = 1
        self.received = 0
        self.write(MAGIC + hello() + frame(Login("guest", ""), 1))
        self.send(EnterRoom(1))

    def write(self, data):
        """Send bytes; they are too few to have to wait."""
        assert self.socket.send(data) == len(data)

    def send(self, message):
        """Send a request."""
        self._number += 1
        self.write(frame(message, self._number, self._number - 1))

    def read(self):
        """Take what has come; False at the end."""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not data:
                return False
            self.received += len(data)


class MemoryTests(TestCase):
    """A crowd that asks for much and takes nothing."""

    timeout = 60

    def setUp(self):
        """A server in this process, with a small maximum."""
        self.log = []
        settings = HallSettings(
            demo_mode=True,
            allow_guest_login=True,
            close_front_link=True,
            auto_add_room=True,
            max_users_per_room=200,
        )
        self.hall = HallService(Hall(settings), reactor)
        self.links = ClientLinks(
            reactor,
            LinkSettings(
                port=0,
                addresses=("127.0.0.1",),
                memory_overall=MAXIMUM,
            ),
            self.hall.submit,
            PARAMETERS,
            HelloFacts("6.0.0.1", "2026-11-20 08:00:00", "Linux", 0),
            os.urandom,
            self.log.append,
            lambda: 1,
        )
        slot = FilterSlot(self.hall.submit, self.hall.hall.state)
        self.hall.connect(Effects(self.links, _NoMedia(), slot, self.log.append, None))
        self.hall.startService()
        self.addCleanup(self.hall.stopService)
        self.links.startService()
        self.addCleanup(self.links.stopService)
        self.port = self.links.addresses()[0].port

    def guest(self, receive_buffer=None):
        """A guest whose connection ends with the test."""
        guest = Guest(self.port, receive_buffer)
        self.addCleanup(guest.socket.close)
        return guest

    def backlog(self):
        """Bytes in the server's own buffers, as Twisted has them."""
        transports = [connection.transport for connection in self.links.connections]
        return sum(
            len(each.dataBuffer) - each.offset + each._tempDataLen
            for each in transports
        )

    async def test_crowdThatDoesNotRead(self):
        """Texts to a room of them are bounded; who reads is not disturbed."""
        talker, listener = self.guest(), self.guest()
        crowd = [self.guest(receive_buffer=4096) for _ in range(DEAF)]
        hall = self.hall.hall.state
        await until(lambda: len(hall.users) == DEAF + 2)
        largest = 0
        # What the system itself takes of each is no matter here.
        for number in range(300):
            talker.send(SendText(-1, False, 16000 * "x"))
            await pause(0)
            self.assertTrue(talker.read())
            self.assertTrue(listener.read())
            if number % 20 == 0:
                beat = frame(Heartbeat(1))
                for guest in (talker, listener):
                    guest.write(beat)
            statistics = self.links.statistics()
            total = statistics["replay_bytes"] + statistics["unsent_bytes"]
            self.assertLessEqual(total, MAXIMUM)
            largest = max(largest, self.backlog())
        await until(lambda: listener.read() and listener.received > 300 * 16000)
        statistics = self.links.statistics()
        self.assertGreater(statistics["closed_memory"], 0)
        self.assertLess(largest, MAXIMUM + (DEAF + 2) * UNDER_WAY)
        self.assertIn("memory is short.(errorcode=23)", "".join(self.log))
        # Both are still there, and their links are.
        self.assertTrue(talker.read())
        await until(lambda: self.links.statistics()["connections"] < DEAF + 2)
        for guest in crowd:
            guest.socket.close()
        await until(lambda: self.links.statistics()["connections"] == 2)


class _NoMedia:
    """The media plane for plain sessions, which have no media."""

    def close_leg(self, session):
        """Nothing was opened."""
