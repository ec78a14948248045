"""Tests for `anychat.client.media.binding`."""

import heapq
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.binding import (
    ABNORMAL,
    IDLE_INTERVAL,
    MEDIA_INTERVAL,
    Abnormal,
    Binding,
    Bound,
    source_key,
)
from anychat.ids import SessionId
from anychat.media import stun
from anychat.media.binding import Bindings
from anychat.media.counters import Drops
from anychat.media.path import Path
from anychat.media.stun import MessageClass

KEY = b"k" * 20
NAME = "leg"
FIRST, SECOND = ("192.0.2.1", 8907), ("2001:db8::1", 8907)
MINE = ("198.51.100.7", 4711)


class BindingTests(SynchronousTestCase):
    """The server's part is played by hand."""

    def setUp(self):
        self.begin([FIRST, SECOND])

    def begin(self, addresses):
        """A fresh machine at time 0, its first request sent."""
        random = Random(1)
        self.binding = Binding(addresses, NAME, KEY, random.randbytes, 0.0)
        self.binding.handle_timeout(0.0)

    def sent(self):
        """Parsed messages that go out, with their targets."""
        return [(stun.parse(data), to) for data, to in self.binding.to_send()]

    def answer(self, request, now, source=FIRST, key=KEY, bound=True):
        """The server answers a request."""
        data = stun.success(request, MINE, key, bound=bound)
        self.binding.receive(data, source, now)

    def check(self, now, source=FIRST, key=KEY, name=NAME):
        """The server's own request; what is answered to it."""
        data = stun.request(b"c" * 12, name, key)
        self.binding.receive(data, source, now)
        return self.sent()

    def bind(self, now=0.03):
        """Get to where the address is bound."""
        [(request, _)] = self.sent()
        self.answer(request, now)
        self.assertEqual(self.binding.events(), [Bound(now)])

    def drive(self, start, end):
        """Let time pass without an answer; when which requests went where."""
        asked = []
        now = start
        while (due := self.binding.next_timeout()) <= end:
            now = max(now, due)
            self.binding.handle_timeout(now)
            asked += [(round(now - start, 3), to) for _, to in self.sent()]
        return asked

    def test_request(self):
        """The request is authenticated with the session's credentials."""
        [(request, target)] = self.sent()
        request.check(KEY, NAME)
        self.assertEqual(target, FIRST)

    def test_bound(self):
        """Bound when the server says so, which it is asked for at once when its
        check is answered."""
        [(request, _)] = self.sent()
        self.answer(request, 0.03, bound=False)
        self.assertEqual(self.sent(), [])
        (reply, target), (again, _) = self.check(0.031)
        reply.check(KEY)
        self.assertEqual((reply.mapped, target), (FIRST, FIRST))
        self.assertFalse(reply.bound)
        self.assertEqual(self.binding.events(), [])
        self.answer(again, 0.061)
        self.assertEqual(self.binding.events(), [Bound(0.03)])
        self.assertTrue(self.binding.bound)
        self.assertEqual(self.binding.peer, FIRST)

    def test_checkFirst(self):
        """The server's check may overtake its answer, which says little then."""
        [(request, _)] = self.sent()
        _, (again, _) = self.check(0.02)
        self.answer(request, 0.03, bound=False)
        self.assertEqual(self.binding.events(), [])
        self.answer(again, 0.05)
        [bound] = self.binding.events()
        self.assertAlmostEqual(bound.delay, 0.03)

    def test_noCheck(self):
        """A server that had bound the address before says so at once."""
        self.bind()

    def test_lateAnswer(self):
        """What was asked before a request that was answered, says nothing any
        more: the address may have been bound then, and not be now."""
        [(first, _)] = self.sent()
        self.binding.handle_timeout(0.1)
        [(second, _)] = self.sent()
        self.answer(second, 0.12, bound=False)
        self.answer(first, 0.13)
        self.assertEqual(self.binding.events(), [])
        self.assertEqual(self.binding.refused, 1)

    def test_moved(self):
        """An answer that does not say "bound" takes that back, without a word; with
        the check's answer it begins anew."""
        self.bind()
        self.binding.handle_timeout(15.03)
        [(request, _)] = self.sent()
        self.answer(request, 15.06, bound=False)
        self.assertFalse(self.binding.bound)
        self.assertAlmostEqual(self.binding.next_timeout(), 15.16)
        _, (again, _) = self.check(15.06)
        self.answer(again, 15.09)
        self.assertTrue(self.binding.bound)
        self.assertEqual(len(self.binding.events()), 1)

    def test_neverBound(self):
        """Answers that do not say "bound" are abnormal after three seconds."""
        [(request, _)] = self.sent()
        now = 0.0
        while now < ABNORMAL:
            self.assertEqual(self.binding.events(), [])
            self.answer(request, now + 0.02, bound=False)
            now = self.binding.next_timeout()
            self.binding.handle_timeout(now)
            request, _ = self.sent()[-1]
        self.assertAlmostEqual(now, ABNORMAL)
        self.assertEqual(self.binding.events(), [Abnormal()])

    def test_checkAgainAndAgain(self):
        """Each is answered, but a recording of one makes few requests, and none of
        a client that is bound."""
        self.sent()
        asked = []
        for number in range(100):
            now = number / 100
            self.binding.handle_timeout(now)
            asked += [
                message
                for message, _ in self.sent() + self.check(now)
                if message.kind is MessageClass.REQUEST
            ]
        self.assertLess(len(asked), 20)
        self.answer(asked[-1], 1.0)
        self.assertTrue(self.binding.bound)
        for _ in range(10):
            self.assertEqual(len(self.check(1.1)), 1)

    def test_checkFromElsewhere(self):
        """It is not answered: that would bind a way that is not used."""
        self.assertEqual(len(self.sent()), 1)
        self.assertEqual(self.check(0.01, source=("192.0.2.9", 8907)), [])
        self.assertEqual(len(self.check(0.01, source=SECOND)), 2)
        self.begin([FIRST, SECOND])
        self.bind()
        self.assertEqual(self.check(0.05, source=SECOND), [])

    def test_anotherWay(self):
        """What one address says does not count when the check of another one, which
        may bind that, has been answered since."""
        self.drive(0.0, 0.9)
        self.binding.handle_timeout(1.0)
        [(request, target)] = self.sent()
        self.assertEqual(target, SECOND)
        _, (again, _) = self.check(1.1, source=FIRST)
        self.answer(request, 1.2, source=SECOND)
        self.assertEqual(self.binding.events(), [])
        self.answer(again, 1.2)
        self.assertTrue(self.binding.bound)
        self.assertEqual(self.binding.peer, FIRST)

    def test_wrongKey(self):
        """Neither an answer nor a check with another key is heeded."""
        [(request, _)] = self.sent()
        self.answer(request, 0.03, key=b"x" * 20)
        self.assertEqual(self.check(0.03, key=b"x" * 20), [])
        self.assertEqual(self.check(0.03, name="other"), [])
        self.drive(0.03, 0.3)
        self.assertEqual(self.binding.events(), [])
        self.assertEqual(self.binding.refused, 3)

    def test_withoutIntegrity(self):
        """Nor are those without any."""
        [(request, _)] = self.sent()
        self.binding.receive(stun.success(request, MINE), FIRST, 0.03)
        self.binding.receive(stun.build(MessageClass.REQUEST, b"c" * 12), FIRST, 0.0)
        self.binding.receive(b"\0\1garbage", FIRST, 0.0)
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.binding.refused, 3)

    def test_answerToNothing(self):
        """An answer from elsewhere, or to a request that was not made."""
        [(request, _)] = self.sent()
        self.answer(request, 0.03, source=SECOND)
        self.binding.handle_timeout(0.1)
        [(request, _)] = self.sent()
        self.answer(request, 0.12, bound=False)
        self.answer(request, 0.13)
        self.assertEqual(self.binding.refused, 2)
        self.assertFalse(self.binding.bound)

    def test_errorAnswer(self):
        """An error, which anybody could send, changes nothing."""
        [(request, _)] = self.sent()
        error = stun.failure(request, stun.ErrorCode.UNAUTHORIZED)
        self.binding.receive(error, FIRST, 0.01)
        self.answer(request, 0.03)
        self.assertTrue(self.binding.bound)

    def test_search(self):
        """Addresses are tried in turn, each several times."""
        self.sent()
        asked = self.drive(0.0, 2.4)
        times = {FIRST: [], SECOND: []}
        for time, target in asked:
            times[target].append(time)
        self.assertEqual(times[FIRST][:3], [0.1, 0.3, 0.6])
        self.assertEqual(times[SECOND], [1.0, 1.1, 1.3, 1.6])
        self.assertEqual(asked[-1], (2.3, FIRST))

    def test_secondAddress(self):
        """The one that answers is used."""
        self.drive(0.0, 1.0)
        self.binding.handle_timeout(1.1)
        request, target = self.sent()[-1]
        self.assertEqual(target, SECOND)
        self.answer(request, 1.15, source=("2001:db8:0::1", 8907))
        self.assertTrue(self.binding.bound)
        self.assertEqual(self.binding.peer, SECOND)

    def test_neverAnswered(self):
        """A search without success is told once, and goes on."""
        self.drive(0.0, 10.0)
        self.assertEqual(self.binding.events(), [Abnormal()])
        self.assertLess(self.binding.next_timeout(), 10.5)

    def test_keepAlive(self):
        """Every 15 seconds; with media every 2."""
        self.bind()
        self.assertEqual(self.binding.next_timeout(), 0.03 + IDLE_INTERVAL)
        self.binding.set_active(True, 1.0)
        self.assertEqual(self.binding.next_timeout(), 1.0 + MEDIA_INTERVAL)
        self.binding.handle_timeout(3.0)
        [(request, _)] = self.sent()
        self.answer(request, 3.05)
        self.assertAlmostEqual(self.binding.round_trip, 0.05)
        # What either side was busy with is no way.
        self.assertLess(self.binding.way, 0.05)
        self.assertEqual(self.binding.next_timeout(), 3.05 + MEDIA_INTERVAL)
        self.assertEqual(self.binding.events(), [])

    def test_abnormal(self):
        """Three seconds without an answer: told, and searched anew."""
        self.bind()
        self.binding.set_active(True, 1.0)
        asked = self.drive(3.0, 5.9)
        self.assertEqual([time for time, _ in asked], [0, 0.5, 1, 1.5, 2, 2.5])
        self.assertEqual(self.binding.events(), [])
        self.binding.handle_timeout(6.0)
        self.assertEqual(self.binding.events(), [Abnormal()])
        self.assertFalse(self.binding.bound)
        [(request, _)] = self.sent()
        self.answer(request, 6.1)
        [bound] = self.binding.events()
        self.assertAlmostEqual(bound.delay, 0.1)

    def test_oneLostAnswer(self):
        """A lost answer is nothing: the next request is answered."""
        self.bind()
        self.binding.set_active(True, 1.0)
        self.binding.handle_timeout(3.0)
        self.sent()
        self.binding.handle_timeout(3.5)
        [(request, _)] = self.sent()
        self.answer(request, 3.51)
        self.drive(3.51, 5.4)
        self.assertTrue(self.binding.bound)

    def test_addressesCompared(self):
        """However an address is written, it is the same."""
        for first, second in (
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80:0::1%2"),
        ):
            self.assertEqual(source_key((first, 1)), source_key((second, 1)))
        self.assertNotEqual(source_key(FIRST), source_key(SECOND))


class Way:
    """The client's machine and the server's, and a network between them.

    :param lost: told the direction and the message; true loses it.
    :param delay: likewise; how long it takes, seconds.
    :param addresses: the server's.
    """

    LEG = SessionId(1)

    def __init__(
        self,
        lost=lambda up, message: False,
        delay=lambda up, message: 0.02,
        addresses=(FIRST, SECOND),
    ):
        self.now = 0.0
        self.lost = lost
        self.delay = delay
        self.addresses = addresses
        self.mine = MINE
        """What the client's address is to the server."""
        self.was = []
        """Times of each event of the client."""
        self.server = Bindings(Random(2).randbytes, Drops())
        self.server.add(self.LEG, NAME, KEY)
        self.client = Binding(self.addresses, NAME, KEY, Random(1).randbytes, 0.0)
        self._under_way = []
        self._number = 0

    @property
    def path(self):
        """Where the client is at present."""
        return Path(self.mine, b"%d" % self.addresses.index(self.client.peer))

    def true(self):
        """Whether the server has bound what the client thinks that it has."""
        return self.server.path(self.LEG) == self.path

    def _send(self, up, data, *how):
        message = stun.parse(data)
        if not self.lost(up, message):
            self._number += 1
            arrival = self.now + self.delay(up, message)
            entry = arrival, self._number, up, data, how
            heapq.heappush(self._under_way, entry)

    def _settle(self):
        for data, target in self.client.to_send():
            path = Path(self.mine, b"%d" % self.addresses.index(target))
            self._send(True, data, path)
        for data, path in self.server.to_send():
            self._send(False, data, path)
        self.was += [(round(self.now, 3), event) for event in self.client.events()]

    def _arrive(self):
        _, _, up, data, (path,) = heapq.heappop(self._under_way)
        if up:
            self.server.receive(data, path, self.now)
        elif path.remote == self.mine:
            source = self.addresses[int(path.local)]
            self.client.receive(data, source, self.now)

    def run(self, end):
        """Let time pass."""
        self._settle()
        while True:
            times = [self.client.next_timeout(), self.server.next_timeout()]
            if self._under_way:
                times.append(self._under_way[0][0])
            when = min(time for time in times if time is not None)
            if when > end:
                self.now = end
                return
            self.now = max(self.now, when)
            if self._under_way and self._under_way[0][0] <= self.now:
                self._arrive()
            self.server.handle_timeout(self.now)
            self.client.handle_timeout(self.now)
            self._settle()

    @property
    def first(self):
        """When the client was bound first."""
        return next(time for time, event in self.was if isinstance(event, Bound))


def nth(number, up, kind):
    """Loses that one of the messages of a direction and kind."""
    seen = []

    def lost(way, message):
        if (way, message.kind) != (up, kind):
            return False
        seen.append(message)
        return len(seen) == number

    return lost


class ExchangeTests(SynchronousTestCase):
    """The client's machine against the server's, over a way of 20 ms."""

    def bound(self, way, seconds):
        """Assert that it is bound by then, and rightly."""
        way.run(5)
        self.assertLessEqual(way.first, seconds)
        self.assertTrue(way.true())
        self.assertEqual(len(way.was), 1, way.was)

    def test_nothingLost(self):
        """Two round trips."""
        self.bound(Way(), 0.08)

    def test_lostCheck(self):
        """The server's check is lost: it comes again after 0.1 s."""
        self.bound(Way(nth(1, False, MessageClass.REQUEST)), 0.181)

    def test_lostCheckAnswer(self):
        """The answer to it is lost: the client does not take itself for bound."""
        self.bound(Way(nth(1, True, MessageClass.SUCCESS)), 0.181)

    def test_lostConfirmation(self):
        """The server's answer that says "bound" is lost, or the request for it."""
        self.bound(Way(nth(2, False, MessageClass.SUCCESS)), 0.181)
        self.bound(Way(nth(2, True, MessageClass.REQUEST)), 0.181)

    def test_lostRequest(self):
        """The first request is lost, or its answer."""
        self.bound(Way(nth(1, True, MessageClass.REQUEST)), 0.181)
        self.bound(Way(nth(1, False, MessageClass.SUCCESS)), 0.181)

    def test_checkAnswerOvertaken(self):
        """The client's request overtakes its answer to the check: the server says
        no, and is asked again."""
        slow = {(True, MessageClass.SUCCESS): 0.09}
        way = Way(delay=lambda up, message: slow.get((up, message.kind), 0.02))
        way.run(0.1)
        self.assertFalse(way.client.bound)
        self.bound(way, 0.19)

    def test_noCheckPasses(self):
        """A way on which the server's requests are lost is abnormal, and bound as
        soon as they pass."""
        way = Way(lambda up, message: not up and message.kind is MessageClass.REQUEST)
        way.run(ABNORMAL + 0.5)
        self.assertEqual(way.was, [(ABNORMAL, Abnormal())])
        way.lost = lambda up, message: False
        way.run(5)
        self.assertTrue(way.client.bound)
        self.assertTrue(way.true())

    def test_rebinding(self):
        """A NAT changes its mapping: the next keep-alive moves the address, and the
        client knows when that is done."""
        for lost in (
            lambda up, message: False,
            nth(2, True, MessageClass.SUCCESS),
            nth(2, False, MessageClass.REQUEST),
        ):
            way = Way(lost)
            way.client.set_active(True, 0.0)
            way.run(1)
            way.mine = ("198.51.100.8", 5000)
            way.run(5)
            self.assertEqual([type(event) for _, event in way.was], [Bound, Bound])
            self.assertLessEqual(way.was[1][0], way.first + MEDIA_INTERVAL + 0.3)
            self.assertTrue(way.true())
            self.assertTrue(way.client.bound)

    def test_serverForgets(self):
        """A server that has lost the binding is told it again, at the next
        keep-alive."""
        way = Way()
        way.run(1)
        way.server.remove(way.LEG)
        way.server.add(way.LEG, NAME, KEY)
        way.run(IDLE_INTERVAL + 1)
        self.assertTrue(way.true())
        self.assertEqual(len(way.was), 2)

    def test_rough(self):
        """With loss and reordering, whoever takes himself for bound is, and remains
        so; by two ways, too, where nothing is late by a second."""
        times = []
        for seed in range(300):
            chance = Random(seed)
            slowest = chance.choice((0.05, 0.2, 0.5, 1.5))
            way = Way(
                lambda up, message, chance=chance: chance.random() < 0.2,
                lambda up, message, chance=chance, slowest=slowest: chance.uniform(
                    0.01, slowest
                ),
                (FIRST,) if slowest > 1 else (FIRST, SECOND),
            )
            while not way.client.bound and way.now < 30:
                way.run(way.now + 0.001)
            for _ in range(20):
                self.assertTrue(way.client.bound, seed)
                self.assertTrue(way.true(), seed)
                way.run(way.now + 0.1)
            if slowest == 0.05:
                times.append(way.first)
        self.assertLess(sorted(times)[len(times) // 2], 0.4)
