"""Addresses are proposed, checked, bound, kept, moved and lost."""

import random

from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import SessionId
from anychat.media import stun
from anychat.media.binding import (
    ANSWERS_EACH,
    CHECK_LIFETIME,
    CHECK_TIMES,
    MAX_CHECKS,
    PROPOSALS,
    REMEMBERED,
    REQUESTS,
    SILENCE,
    SWEEPS,
    Bindings,
    Bound,
    Unbound,
)
from anychat.media.counters import Drop, Drops
from anychat.media.path import Path

LEG = SessionId(1)
OTHER = SessionId(2)
KEY = b"a key of the leg, long"
HOME = Path(("192.0.2.1", 4000), b"us")
AWAY = Path(("198.51.100.7", 999), b"us")
SUCCESS, REQUEST = stun.MessageClass.SUCCESS, stun.MessageClass.REQUEST


class BindingsTests(SynchronousTestCase):
    """`Bindings`, with a client that the test plays."""

    def setUp(self):
        """One leg that is not bound."""
        self.random = random.Random(7).randbytes
        self.drops = Drops()
        self.bindings = Bindings(self.random, self.drops)
        self.bindings.add(LEG, "user", KEY)
        self.now = 100.0

    def receive(self, data, path=HOME):
        """Give it a datagram; returns what it sends."""
        self.bindings.receive(data, path, self.now)
        return self.bindings.to_send()

    def request(self, username="user", key=KEY):
        """A client's request."""
        return stun.request(self.random(12), username, key)

    def propose(self, path=HOME):
        """Send a request; returns the answer and the check, parsed."""
        out = self.receive(self.request(), path)
        self.assertEqual([to for _, to in out], [path] * len(out))
        return [stun.parse(data) for data, _ in out]

    def answer(self, check, path=HOME, key=KEY):
        """Answer a check; returns what is sent on that."""
        return self.receive(stun.success(check, ("203.0.113.1", 8907), key), path)

    def bind(self, path=HOME):
        """The whole exchange."""
        _, check = self.propose(path)
        self.assertEqual(self.answer(check, path), [])

    def wait(self, seconds):
        """Let time pass, waking the machine whenever it wants."""
        end = self.now + seconds
        out = []
        while (when := self.bindings.next_timeout()) is not None and when <= end:
            self.now = max(self.now, when)
            self.bindings.handle_timeout(self.now)
            out += self.bindings.to_send()
        self.now = end
        return out

    def test_binds(self):
        """Request, answer, check, answer: then the address is bound."""
        answer, check = self.propose()
        self.assertEqual(answer.kind, SUCCESS)
        self.assertEqual(answer.mapped, HOME.remote)
        answer.check(KEY)
        self.assertEqual(check.kind, REQUEST)
        check.check(KEY, "user")
        self.assertNotEqual(check.transaction, answer.transaction)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.bindings.events(), [])
        self.now += 0.03
        self.answer(check)
        (event,) = self.bindings.events()
        self.assertEqual((event.leg, event.path), (LEG, HOME))
        self.assertAlmostEqual(event.round_trip, 0.03)
        self.assertIsInstance(event, Bound)
        self.assertEqual(self.bindings.path(LEG), HOME)
        self.assertEqual(self.bindings.bound, 1)

    def test_saysBound(self):
        """An answer says that the address is bound exactly when it is."""
        answer, check = self.propose()
        self.assertFalse(answer.bound)
        (again,) = self.propose()
        self.assertFalse(again.bound)
        self.answer(check)
        (answer,) = self.propose()
        self.assertTrue(answer.bound)
        answer.check(KEY)
        # Another address of the same leg, and the old one when that is bound.
        answer, check = self.propose(AWAY)
        self.assertFalse(answer.bound)
        self.assertTrue(self.propose(HOME)[0].bound)
        self.answer(check, AWAY)
        self.assertTrue(self.propose(AWAY)[0].bound)
        self.assertFalse(self.propose(HOME)[0].bound)
        self.bindings.remove(LEG)
        self.bindings.add(LEG, "user", KEY)
        self.assertFalse(self.propose(AWAY)[0].bound)

    def test_saysBoundOfWhatIsRepeated(self):
        """The same request again is answered by what is so now."""
        data = self.request()
        (answer, _), (check, _) = self.receive(data)
        self.assertFalse(stun.parse(answer).bound)
        self.answer(stun.parse(check))
        ((answer, _),) = self.receive(data)
        self.assertTrue(stun.parse(answer).bound)
        _, check = self.propose(AWAY)
        ((answer, _),) = self.receive(data)
        self.assertTrue(stun.parse(answer).bound)
        # Under check, but not bound: known, so it is answered.
        ((answer, _),) = self.receive(data, AWAY)
        self.assertFalse(stun.parse(answer).bound)
        self.answer(check, AWAY)
        ((answer, _),) = self.receive(data, AWAY)
        self.assertTrue(stun.parse(answer).bound)

    def test_saysBoundWhenForgotten(self):
        """An address that was silent for too long is not bound."""
        self.bind()
        self.assertTrue(self.propose()[0].bound)
        self.wait(SILENCE + 1)
        self.assertFalse(self.propose()[0].bound)

    def test_plainAnswerSaysNothing(self):
        """Who does not say who he is learns nothing of the leg's address."""
        self.bind()
        ((answer, _),) = self.receive(stun.build(REQUEST, self.random(12)))
        self.assertFalse(stun.parse(answer).bound)

    def test_ipv6(self):
        """The same over IPv6, a link-local address included."""
        path = Path(("fe80::1%eth0", 4000, 0, 2))
        answer, _ = self.propose(path)
        self.assertEqual(answer.mapped, ("fe80::1", 4000))

    def test_sha256(self):
        """The answer is signed as the request was."""
        data = stun.build(
            REQUEST,
            self.random(12),
            username="user",
            key=KEY,
            integrity=stun.Integrity.SHA256,
        )
        (answer, _), _ = self.receive(data)
        self.assertEqual(stun.parse(answer).integrity, stun.Integrity.SHA256)

    def test_checkIsSentAgain(self):
        """A check that is lost is repeated, then given up for good."""
        _, check = self.propose()
        start, times = self.now, []
        while (when := self.bindings.next_timeout()) is not None:
            self.bindings.handle_timeout(when)
            for data, path in self.bindings.to_send():
                times.append(when - start)
                self.assertEqual((stun.parse(data), path), (check, HOME))
        self.assertEqual([round(time, 6) for time in times], list(CHECK_TIMES[1:]))
        self.assertGreater(CHECK_LIFETIME, CHECK_TIMES[-1])
        self.answer(check)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.drops[Drop.UNEXPECTED_STUN], 1)

    def test_answeredCheckIsNotRepeated(self):
        """Nothing is left over when an address is bound."""
        self.bind()
        self.assertEqual(self.wait(CHECK_LIFETIME), [])

    def test_keepAlive(self):
        """From the bound address a request is answered, and that is all."""
        self.bind()
        self.bindings.events()
        for _ in range(20):
            self.wait(15)
            (answer,) = self.propose()
            self.assertEqual(answer.kind, SUCCESS)
        self.assertEqual(self.bindings.events(), [])

    def test_keepAliveOfAnotherForm(self):
        """Whether the request goes the short way or, since it says what its
        sender runs, the full one: what comes of it is the same."""

        def histories():
            for software in ("", "client"):
                self.setUp()
                self.bind()
                self.bindings.events()
                yield list(self.course(software))

        usual, other = histories()
        self.assertEqual(usual, other)

    def course(self, software):
        """Keep-alives, good and bad; yields what is sent on each, and counted."""
        identifier = random.Random(8).randbytes
        first = identifier(12)
        steps = [(first, KEY, HOME), (first, KEY, HOME), (first, KEY, AWAY)]
        steps += [(identifier(12), b"wrong", HOME), (identifier(12), b"wrong", AWAY)]
        steps += [(identifier(12), KEY, HOME)] * (REQUESTS.burst + 5)
        steps += [(identifier(12), KEY, HOME) for _ in range(3)]
        for number, (transaction, key, path) in enumerate(steps):
            self.now += SILENCE / 2 if number < 6 else 0.001
            data = stun.request(transaction, "user", key, software)
            out = self.receive(data, path)
            self.bindings.handle_timeout(self.now)
            yield out, self.bindings.path(LEG), self.bindings.events()
            yield self.drops.snapshot(), self.bindings.next_timeout()

    def test_forgedKeepAlive(self):
        """What is not signed by the leg keeps no address alive."""
        self.bind()
        for _ in range(4):
            self.now += SILENCE / 4
            self.assertEqual(self.receive(self.request(key=b"wrong")), [])
        self.bindings.handle_timeout(self.now + 1)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.drops[Drop.FORGED_STUN], 4)

    def test_silence(self):
        """An address that is not heard is unbound, and may be bound again."""
        self.bind()
        self.bindings.events()
        self.wait(SILENCE / 2)
        self.propose()
        self.wait(SILENCE - 1)
        self.assertEqual(self.bindings.path(LEG), HOME)
        self.wait(1.5)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.bindings.events(), [Unbound(LEG)])
        self.assertIsNone(self.bindings.next_timeout())
        self.bind()
        self.assertEqual(self.bindings.path(LEG), HOME)

    def test_silenceOfMany(self):
        """Legs bound at any time are looked at together, none too soon."""
        heard = {}
        for number in range(200):
            self.now += 0.005
            leg, name = SessionId(100 + number), f"user {number}"
            self.bindings.add(leg, name, KEY)
            path = Path(("192.0.2.1", 5000 + number))
            _, (check, _) = self.receive(self.request(name), path)
            self.answer(stun.parse(check), path)
            heard[leg] = self.now
        self.bindings.events()
        wakes = 0
        while (when := self.bindings.next_timeout()) is not None:
            self.bindings.handle_timeout(when)
            wakes += 1
            for event in self.bindings.events():
                silent = when - heard.pop(event.leg)
                self.assertGreater(silent, SILENCE - 0.001)
                self.assertLess(silent, SILENCE + 1 / SWEEPS + 0.001)
        self.assertEqual(heard, {})
        self.assertLessEqual(wakes, SWEEPS + 2)

    def test_otherSignsOfLife(self):
        """RTCP keeps an address alive too."""
        self.bind()
        self.wait(SILENCE - 1)
        self.bindings.heard(LEG, self.now)
        self.wait(SILENCE - 1)
        self.assertEqual(self.bindings.path(LEG), HOME)

    def test_moves(self):
        """A new address is bound when it has been checked, not before."""
        self.bind()
        _, check = self.propose(AWAY)
        self.assertEqual(self.bindings.path(LEG), HOME)
        self.answer(check, AWAY)
        self.assertEqual(self.bindings.path(LEG), AWAY)
        # The old one proposes itself again like any other.
        self.assertEqual(len(self.propose(HOME)), 2)

    def test_otherEndOfOurs(self):
        """The same client at another address of ours is checked too, and is
        answered from there."""
        self.bind()
        path = Path(HOME.remote, b"our other address")
        _, check = self.propose(path)
        self.answer(check, path)
        self.assertEqual(self.bindings.path(LEG), path)

    def test_latestProposalWins(self):
        """An answer to an older check does not undo a newer one's."""
        _, first = self.propose(HOME)
        _, second = self.propose(AWAY)
        self.answer(second, AWAY)
        self.answer(first, HOME)
        self.assertEqual(self.bindings.path(LEG), AWAY)
        self.assertEqual(self.drops[Drop.UNEXPECTED_STUN], 1)

    def test_earlierProposalFirst(self):
        """A newer check goes on when the older one is answered."""
        _, first = self.propose(HOME)
        _, second = self.propose(AWAY)
        self.answer(first, HOME)
        self.answer(second, AWAY)
        self.assertEqual(self.bindings.path(LEG), AWAY)

    # Trouble.

    def test_replayFromElsewhere(self):
        """A captured request sent from elsewhere gets no answer, no check and
        moves nothing; not from the old address either once the leg moved."""
        captured = self.request()
        _, (check, _) = self.receive(captured)
        self.answer(stun.parse(check))
        for path in (AWAY, Path(("192.0.2.1", 4001), b"us")):
            self.assertEqual(self.receive(captured, path), [])
        self.bind(AWAY)
        self.assertEqual(self.receive(captured, HOME), [])
        self.assertEqual(self.bindings.path(LEG), AWAY)
        self.assertEqual(self.drops[Drop.REPLAYED_STUN], 3)

    def test_repeatedRequest(self):
        """A request that the client sends again is answered again, before and
        after its address is bound, and makes no second check."""
        data = self.request()
        self.assertEqual(len(self.receive(data)), 2)
        ((answer, _),) = self.receive(data)
        self.assertEqual(stun.parse(answer).kind, SUCCESS)
        ((answer, _),) = self.receive(self.request())
        self.assertEqual(self.drops.snapshot(), {})

    def test_captureThatNeverArrived(self):
        """A request that only its captor delivers aims a few small packets at
        his victim, and no stream."""
        _, check = self.propose(AWAY)
        sent = self.wait(60)
        self.assertEqual(len(sent), len(CHECK_TIMES) - 1)
        # Neither the real client nor the captor can answer in its place.
        self.answer(check, HOME)
        self.answer(check, AWAY, key=b"guessed")
        self.assertIsNone(self.bindings.path(LEG))

    def test_checkAnsweredFromElsewhere(self):
        """The answer has to come from the address that is checked."""
        _, check = self.propose(AWAY)
        self.answer(check, HOME)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.drops[Drop.UNEXPECTED_STUN], 1)

    def test_forgedAnswer(self):
        """An answer with the wrong key or none binds nothing."""
        _, check = self.propose()
        self.answer(check, key=b"wrong")
        self.answer(check, key=None)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertEqual(self.drops[Drop.FORGED_STUN], 2)

    def test_answerToNothing(self):
        """A signed answer with a made-up transaction id binds nothing."""
        made_up = stun.parse(self.request())
        self.answer(made_up)
        self.assertIsNone(self.bindings.path(LEG))

    def test_wrongCredentials(self):
        """Wrong key, unknown name, or half of them: nothing is answered."""
        unsigned = stun.build(REQUEST, self.random(12), username="user")
        unnamed = stun.build(REQUEST, self.random(12), key=KEY)
        for data in (
            self.request(key=b"wrong"),
            self.request(username="nobody"),
            unsigned,
            unnamed,
        ):
            self.assertEqual(self.receive(data), [])
        self.assertEqual(
            self.drops.snapshot(),
            {
                Drop.FORGED_STUN: 1,
                Drop.UNKNOWN_USERNAME: 1,
                Drop.UNAUTHENTICATED: 2,
            },
        )

    def test_otherMessages(self):
        """Indications, errors and noise are dropped, and refresh nothing."""
        self.bind()
        indication = stun.build(
            stun.MessageClass.INDICATION, self.random(12), username="user", key=KEY
        )
        error = stun.failure(
            stun.parse(self.request()), stun.ErrorCode.BAD_REQUEST, KEY
        )
        for data in (indication, error, b"\x00\x01" + bytes(18)):
            self.assertEqual(self.receive(data), [])
        self.assertEqual(
            self.drops.snapshot(), {Drop.UNEXPECTED_STUN: 2, Drop.MALFORMED_STUN: 1}
        )

    def test_unknownAttribute(self):
        """What must be understood and is not is said so (420), and proposes
        nothing."""
        transaction = self.random(12)
        attribute = bytes((0x00, 0x03, 0, 4, 0, 0, 0, 0))
        header = b"\x00\x01\x00\x08\x21\x12\xa4\x42"
        ((answer, _),) = self.receive(header + transaction + attribute)
        message = stun.parse(answer)
        self.assertEqual((message.error, message.transaction), (420, transaction))

    def test_requestsAreLimited(self):
        """A leg's own flood is cut; nobody else can use up its share."""
        for _ in range(500):
            self.receive(self.request(key=b"wrong"))
        self.bind()
        answered = sum(bool(self.receive(self.request())) for _ in range(100))
        self.assertLessEqual(answered, REQUESTS.burst)
        self.assertGreaterEqual(answered, REQUESTS.burst - 1)
        self.now += 1
        self.assertTrue(self.receive(self.request()))

    def test_proposalsAreLimited(self):
        """A client that hops over addresses makes a bounded number of checks,
        at once and in time."""
        checks = 0
        for port in range(30):
            path = Path(("192.0.2.9", 1000 + port))
            checks += len(self.propose(path)) - 1
        self.assertEqual(checks, MAX_CHECKS)
        for port in range(300):
            self.wait(0.2)
            out = self.receive(self.request(), Path(("192.0.2.9", 2000 + port)))
            checks += len(out) - 1
        self.assertLessEqual(checks, PROPOSALS.burst + 60 * PROPOSALS.rate)
        self.assertGreater(self.drops[Drop.CHECKS_FULL], 0)
        # And it can still come to rest.
        self.wait(60)
        self.bind()

    def test_memoryIsBounded(self):
        """What is remembered of a leg does not grow."""
        self.bind()
        for _ in range(200):
            self.wait(1)
            self.propose()
        leg = self.bindings._legs[LEG]
        self.assertEqual(len(leg.recent), REMEMBERED * 12)
        self.assertEqual(self.bindings._checks, {})

    # Plain requests.

    def test_plainRequest(self):
        """Anybody is told his address, without a state, once."""
        data = stun.build(REQUEST, self.random(12))
        ((answer, path),) = self.receive(data, AWAY)
        message = stun.parse(answer)
        self.assertEqual((path, message.mapped), (AWAY, AWAY.remote))
        self.assertIsNone(message.integrity)
        self.assertLessEqual(len(answer), len(data) + 12)
        self.assertEqual(self.bindings.answered, 1)
        self.assertIsNone(self.bindings.next_timeout())

    def test_plainRequestsAreLimited(self):
        """A flood is answered at a bounded rate, whoever it claims to be."""
        answers = 0
        for _ in range(1000):
            data = stun.build(REQUEST, self.random(12))
            answers += len(self.receive(data, AWAY))
        self.assertEqual(answers, ANSWERS_EACH.burst)
        self.assertEqual(self.drops[Drop.ANSWER_RATE], 1000 - answers)

    # Coming and going.

    def test_removed(self):
        """A leg that is gone leaves nothing: no timer, check or name."""
        self.bind()
        self.bindings.events()
        _, check = self.propose(AWAY)
        self.bindings.remove(LEG)
        self.bindings.remove(LEG)
        self.assertIsNone(self.bindings.path(LEG))
        self.assertIsNone(self.bindings.next_timeout())
        self.assertEqual(self.answer(check, AWAY), [])
        self.assertEqual(self.receive(self.request()), [])
        self.assertEqual(self.bindings.events(), [])
        self.assertEqual(self.drops[Drop.UNKNOWN_USERNAME], 1)

    def test_legsKeepApart(self):
        """Each has its own key; one cannot bind for the other."""
        self.bindings.add(OTHER, "other", b"another key")
        self.assertEqual(self.receive(self.request(username="other")), [])
        _, check = self.propose()
        self.answer(check, key=b"another key")
        self.assertEqual(self.bindings.bound, 0)
