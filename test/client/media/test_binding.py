"""Tests for `anychat.client.media.binding`."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.binding import (
    IDLE_INTERVAL,
    MEDIA_INTERVAL,
    Abnormal,
    Binding,
    Bound,
    source_key,
)
from anychat.media import stun
from anychat.media.stun import MessageClass

KEY = b"k" * 20
NAME = "leg"
FIRST, SECOND = ("192.0.2.1", 8907), ("2001:db8::1", 8907)
MINE = ("198.51.100.7", 4711)


class BindingTests(SynchronousTestCase):
    """The server's part is played by hand."""

    def setUp(self):
        self.begin([FIRST, SECOND])

    def begin(self, addresses, known=False):
        """A fresh machine at time 0, its first request sent."""
        random = Random(1)
        self.binding = Binding(addresses, NAME, KEY, random.randbytes, 0.0, known)
        self.binding.handle_timeout(0.0)

    def sent(self):
        """Parsed messages that go out, with their targets."""
        return [(stun.parse(data), to) for data, to in self.binding.to_send()]

    def answer(self, request, now, source=FIRST, key=KEY):
        """The server answers a request."""
        self.binding.receive(stun.success(request, MINE, key), source, now)

    def check(self, now, source=FIRST, key=KEY, name=NAME):
        """The server's own request; what is answered to it."""
        data = stun.request(b"c" * 12, name, key)
        self.binding.receive(data, source, now)
        return [pair for pair in self.sent() if pair[0].kind is MessageClass.SUCCESS]

    def bind(self, now=0.03):
        """Get to where the address is bound."""
        [(request, _)] = self.sent()
        self.answer(request, now)
        self.check(now)
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
        """Bound when the server has answered and its check is answered."""
        [(request, _)] = self.sent()
        self.answer(request, 0.03)
        self.assertEqual(self.binding.events(), [])
        [(reply, target)] = self.check(0.031)
        reply.check(KEY)
        self.assertEqual((reply.mapped, target), (FIRST, FIRST))
        self.assertEqual(self.binding.events(), [Bound(0.03)])
        self.assertTrue(self.binding.bound)
        self.assertEqual(self.binding.peer, FIRST)

    def test_checkFirst(self):
        """The server's check may overtake its answer."""
        [(request, _)] = self.sent()
        self.check(0.02)
        self.assertEqual(self.binding.events(), [])
        self.answer(request, 0.03)
        self.assertEqual(self.binding.events(), [Bound(0.03)])

    def test_noCheck(self):
        """A server that had bound the address before makes no check."""
        for known, wait in ((True, 0.2), (False, 2.0)):
            self.begin([FIRST], known)
            [(request, _)] = self.sent()
            self.answer(request, 0.03)
            self.drive(0.03, 0.03 + wait - 0.01)
            self.assertEqual(self.binding.events(), [])
            self.drive(0.03 + wait - 0.01, 0.03 + wait + 0.01)
            self.assertEqual(self.binding.events(), [Bound(0.03)])

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
        self.answer(request, 0.12)
        self.answer(request, 0.13)
        self.assertEqual(self.binding.refused, 2)

    def test_errorAnswer(self):
        """An error, which anybody could send, changes nothing."""
        [(request, _)] = self.sent()
        error = stun.failure(request, stun.ErrorCode.UNAUTHORIZED)
        self.binding.receive(error, FIRST, 0.01)
        self.answer(request, 0.03)
        self.check(0.03)
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
        self.check(1.15, source=("2001:db8:0::1", 8907))
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
        self.check(6.1)
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
