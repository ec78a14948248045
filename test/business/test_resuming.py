"""However often the connection is cut: nothing is left out, little is told twice."""

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from anychat.business.server import BusinessServer
from anychat.business_messages import OnUserEnterRoomAction
from test.business.bench import ServerTestCase


class Dawdler(BusinessServer):
    """Is done with some events at once, and with others when it is told."""

    def on_user_enter_room_action(self, user_id, room_id):
        """The room is the number of the event."""
        self.seen.append((user_id, room_id))
        if self.chance.random() < 0.3:
            self.waiting.append(Deferred())
            return self.waiting[-1]


class ResumingTests(ServerTestCase):
    """A core, a business server, and a network that fails."""

    @settings(deadline=None, max_examples=15)
    @given(st.integers(0, 2**32))
    def test_cuts(self, seed):
        """All events come, one user's in their order; what comes twice is owned."""
        self.serve()
        chance = random.Random(seed)
        server = self.make_sdk(Dawdler)
        server.seen, server.waiting, server.chance = [], [], chance
        server.startService()
        self.flush()
        told = 0
        for _ in range(150):
            dice = chance.random()
            if dice < 0.5:
                told += 1
                self.service.tell(OnUserEnterRoomAction(chance.randint(1, 5), told))
                if chance.random() < 0.7:
                    self.flush()
            elif dice < 0.7 and server.waiting:
                place = chance.randrange(len(server.waiting))
                server.waiting.pop(place).callback(None)
                self.flush()
            elif dice < 0.75 and server.connected:
                self.cut_sdk()
            else:
                self.pass_time(chance.choice([0, 0, 0.5, 1, 2]))
        for _ in range(60):
            while server.waiting:
                server.waiting.pop().callback(None)
            self.flush()
            self.pass_time(1)
        owned = re.findall(
            r"Warning:(\d+) events were not", "\n".join(self.lines.lines)
        )
        self.assertEqual({room for _, room in server.seen}, set(range(1, told + 1)))
        self.assertLessEqual(len(server.seen), told + sum(map(int, owned)))
        for user in range(1, 6):
            rooms = list(dict.fromkeys(r for u, r in server.seen if u == user))
            self.assertEqual(rooms, sorted(rooms))
        self.assertEqual(self.count("events_under_way"), 0)
        self.stop_sdk(server)
