"""UDP traces: what the server counts, tells and passes on."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import SessionId
from anychat.media.counters import Drop, Drops
from anychat.media.leg_state import Credentials
from anychat.protocols.control import (
    Probe,
    RelayedProbe,
    Report,
    ReportRequest,
    build,
    control_key,
    parse,
    stamp_of,
)
from anychat.services.traces import COPIES_EACH, PROBES, REPORTS, Traces

ANN, BOB, CAT = SessionId(1), SessionId(2), SessionId(3)


def stun_key(leg):
    """Of that leg."""
    return b"stun key %d" % leg


def credentials(leg):
    """Of that leg."""
    return Credentials("", 0xC0 + leg, 0x50 + leg, stun_key(leg), b"", b"")


class TracesTests(SynchronousTestCase):
    """`Traces` with clients that the test plays."""

    def setUp(self):
        """Three legs; Ann sends to Bob."""
        self.drops = Drops()
        self.legs = {leg: credentials(leg) for leg in (ANN, BOB, CAT)}
        self.traces = Traces(self.legs, self.drops)
        self.now = 50.0
        self.traces.route(ANN, 7, (BOB,))

    def close(self, leg):
        """That leg is gone."""
        del self.legs[leg]
        self.traces.close(leg)

    def send(self, message, leg=ANN, size=100, key=None):
        """A datagram of that leg; what follows, by leg."""
        data = build(message, key or control_key(stun_key(leg)), size)
        return self.take(data, leg)

    def take(self, data, leg=ANN):
        """Bytes from a leg."""
        return [
            (to, parse(out, control_key(stun_key(to))), len(out))
            for to, out in self.traces.receive(leg, data, self.now, self.now)
        ]

    def probe(self, number, trace=5, heard=0):
        """A probe of Ann's."""
        return Probe(0xC0 + ANN, trace, number, stamp_of(self.now), heard)

    def test_probe(self):
        """It is counted, told and passed on, at its own length."""
        (to, report, _), (other, relayed, size) = self.send(self.probe(1), size=300)
        stamp = stamp_of(self.now)
        self.assertEqual((to, other, size), (ANN, BOB, 300))
        self.assertEqual(report, Report(0x50 + ANN, 5, 1, 1, 0, stamp))
        self.assertEqual(relayed.padding, bytes(len(relayed.padding)))
        self.assertEqual(
            (relayed.ssrc, relayed.source, relayed.number, relayed.received),
            (0x50 + BOB, 7, 1, 1),
        )
        self.assertEqual((relayed.forwarded, relayed.origin), (1, stamp))

    def test_loss(self):
        """What did not come shows in the numbers, on both sides."""
        out = []
        for number in (1, 2, 5, 6, 9):
            self.now += 0.1
            out += self.send(self.probe(number))
        report = [message for _, message, _ in out if isinstance(message, Report)][-1]
        self.assertEqual((report.number, report.received), (9, 5))
        relayed = [m for _, m, _ in out if isinstance(m, RelayedProbe)]
        self.assertEqual([m.forwarded for m in relayed], [1, 2, 3, 4, 5])
        self.assertEqual([m.number for m in relayed], [1, 2, 5, 6, 9])

    def test_double(self):
        """The same probe twice is counted and passed on once."""
        self.send(self.probe(1))
        self.assertEqual(self.send(self.probe(1)), [])
        self.assertEqual(self.drops[Drop.CONTROL_FORGED], 1)

    def test_echo(self):
        """A trace to oneself comes back."""
        self.traces.route(ANN, 7, (ANN,))
        out = self.send(self.probe(1))
        self.assertEqual([to for to, _, _ in out], [ANN, ANN])
        self.assertIsInstance(out[1][1], RelayedProbe)

    def test_reportsAreFew(self):
        """The sender is told often enough, and not at each probe."""
        told = 0
        for number in range(1, 201):
            self.now += 0.005
            told += any(
                isinstance(message, Report)
                for _, message, _ in self.send(self.probe(number))
            )
        self.assertLessEqual(told, REPORTS.rate * 1.0 + REPORTS.burst + 1)
        self.assertGreaterEqual(told, REPORTS.rate * 0.9)

    def test_request(self):
        """The last report can be asked for."""
        self.send(self.probe(3))
        self.now += 1
        ((to, report, _),) = self.send(ReportRequest(0xC0 + ANN, 5, 77))
        self.assertEqual((to, report.received, report.echo), (ANN, 1, 77))
        self.assertEqual(self.send(ReportRequest(0xC0 + ANN, 4, 77)), [])

    def test_newTrace(self):
        """A new trace counts from the start; an old one cannot be played again."""
        old = build(self.probe(9), control_key(stun_key(ANN)), 100)
        self.take(old)
        self.now += 1
        out = self.send(self.probe(1, trace=6))
        self.assertEqual(out[0][1].received, 1)
        self.assertEqual(self.take(old), [])
        self.assertEqual(self.drops[Drop.CONTROL_FORGED], 1)

    def test_whoSendsNone(self):
        """Without signalling's word nothing is taken."""
        self.assertEqual(self.send(Probe(0xC0 + BOB, 1, 1, 0, 0), leg=BOB), [])
        self.assertEqual(self.drops[Drop.NO_TRACE], 1)
        self.traces.route(ANN, 7, None)
        self.assertEqual(self.send(self.probe(1)), [])
        self.assertEqual(self.drops[Drop.NO_TRACE], 2)
        self.assertEqual(len(self.traces), 0)

    def test_forged(self):
        """Another's key, another's SSRC, a server's own datagram: dropped."""
        self.assertEqual(self.send(self.probe(1), key=control_key(b"x")), [])
        self.assertEqual(self.send(Probe(0xC0 + BOB, 5, 1, 0, 0)), [])
        self.assertEqual(self.send(Report(0xC0 + ANN, 5, 1, 1, 0, 0)), [])
        self.assertEqual(self.drops[Drop.CONTROL_FORGED], 3)

    def test_rate(self):
        """One sender floods nobody."""
        taken = 0
        for number in range(1, int(PROBES.burst) + 200):
            taken += bool(self.send(self.probe(number), size=64))
        self.assertEqual(taken, PROBES.burst)
        self.assertEqual(self.drops[Drop.CONTROL_RATE], 199)

    def test_wholeRoom(self):
        """Who sends to many floods nobody either, leaves something for others, and
        all of his receivers get about the same."""
        crowd = tuple(map(SessionId, range(100, 1100)))
        self.legs |= {leg: credentials(leg) for leg in crowd}
        self.traces.route(ANN, 7, crowd)
        got = Counter()
        for number in range(1, 11):
            self.now += 0.3
            got.update(to for to, _, _ in self.send(self.probe(number)) if to != ANN)
        most = COPIES_EACH.burst + 10 * 0.3 * COPIES_EACH.rate
        self.assertLessEqual(sum(got.values()), most)
        self.assertLessEqual(max(got.values()) - min(got.values()), 2)
        for number in range(11, 21):
            self.send(self.probe(number))
        self.traces.route(BOB, 8, (CAT,))
        probe = Probe(0xC0 + BOB, 1, 1, 0, 0)
        self.assertEqual({to for to, _, _ in self.send(probe, leg=BOB)}, {BOB, CAT})
        self.assertGreater(self.drops[Drop.CONTROL_RATE], 10_000 - most)

    def test_receiverGone(self):
        """A receiver whose leg is gone gets nothing, and costs the others none."""
        self.traces.route(ANN, 7, (BOB, CAT))
        self.close(BOB)
        out = self.send(self.probe(1))
        self.assertEqual([to for to, _, _ in out], [ANN, CAT])

    def test_nothingStays(self):
        """After everybody left nothing is kept."""
        self.traces.route(ANN, 7, (BOB, CAT))
        self.send(self.probe(1))
        self.close(CAT)
        self.assertEqual(set(self.traces._senders[ANN].forwarded), {BOB})
        for leg in (ANN, BOB):
            self.close(leg)
        self.assertEqual(len(self.traces), 0)
        self.assertEqual((self.traces._legs, self.traces._senders), ({}, {}))

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200), st.booleans())
    def test_garbage(self, data, from_sender):
        """Whatever comes, it costs a count."""
        leg = ANN if from_sender else BOB
        self.assertEqual(self.traces.receive(leg, data, 1.0, 1.0), [])
