"""A client's traces: probes, figures, verdicts."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.trace import PeerFigures, TraceCount, TraceFigures, UdpTrace
from anychat.client.verdict import judge
from anychat.codes import ResultCode, StreamTransMode, TraceMode
from anychat.errors import Refused
from anychat.ids import SessionId
from anychat.media.counters import Drops
from anychat.media.leg_state import Credentials
from anychat.messages import MediaSetup, SetUdpTrace
from anychat.services.traces import Traces

SETUP = MediaSetup((), 8907, "1", 0xC1, 0x51, b"k" * 16, b"r" * 16, b"s" * 12)
LEG = SessionId(1)


class Udp:
    """A path to a server that echoes, with loss where the test wants it."""

    def __init__(self, clock):
        self.clock = clock
        self.on_control = None
        self.bound = True
        self.up = lambda number: True
        self.down = lambda number: True
        self.sent = self.returned = 0
        credentials = Credentials("", 0xC1, 0x51, SETUP.stun_key, b"", b"")
        self.traces = Traces({LEG: credentials}, Drops())
        self.traces.route(LEG, 7, (LEG,))

    def send(self, data):
        """A datagram to the server."""
        self.sent += 1
        if self.up(self.sent):
            self.clock.callLater(0.010, self._arrive, data)
        return True

    def _arrive(self, data):
        now = self.clock.seconds()
        for _, answer in self.traces.receive(LEG, data, now, now):
            self.returned += 1
            if answer[0] != 5 or self.down(self.returned):
                self.clock.callLater(0.015, self._back, answer)

    def _back(self, data):
        if self.on_control is not None:
            self.on_control(data)


class World:
    """The media session, as far as a trace goes."""

    def __init__(self, clock):
        self.udp = Udp(clock)
        self.transport = self
        self.mode = StreamTransMode.UDP


class UdpTraceTests(SynchronousTestCase):
    """`UdpTrace` against the server's own counting."""

    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1000)
        self.media = World(self.clock)
        self.asked = []
        self.setup = SETUP
        self.answer = lambda: succeed(None)
        self.trace = UdpTrace(
            self.clock, self.ask, lambda: self.media, lambda: self.setup, lambda: 7
        )

    def tearDown(self):
        self.trace.forget()
        self.assertIsNone(self.media.udp.on_control)

    def ask(self, message):
        """A request."""
        self.asked.append(message)
        return self.answer()

    def advance(self, seconds):
        """Let time pass in small steps."""
        for _ in range(round(seconds * 500)):
            self.clock.advance(0.002)

    def run_trace(self, seconds=2.0, **how):
        """A whole trace; its figures."""
        self.successResultOf(self.trace.start(**how))
        self.advance(seconds)
        stopping = self.trace.stop()
        self.advance(2.0)
        return self.successResultOf(stopping)

    def test_good(self):
        """Nothing lost, at the rate asked for, with the round trip."""
        figures = self.run_trace(size=500, rate=200_000)
        self.assertLess(abs(figures.sent - 100), 4.5)
        self.assertEqual(figures.server_received, figures.sent)
        self.assertEqual((figures.loss_up, figures.loss_down), (0.0, 0.0))
        self.assertLess(abs(figures.round_trip - 0.025), 0.0045)
        self.assertLess(figures.jitter_up, 0.002)
        self.assertEqual(list(figures.peers), [7])
        self.assertEqual(
            self.asked,
            [SetUdpTrace(TraceMode.SEND, 0), SetUdpTrace(TraceMode.OFF, 0)],
        )
        self.assertEqual(judge(figures, 500, 2.0, 200_000).quality, 0)

    def test_lossUp(self):
        """Each fifth probe is lost on the way up."""
        self.media.udp.up = lambda number: number % 5
        figures = self.run_trace()
        self.assertLess(abs(figures.loss_up - 0.2), 0.03)
        self.assertEqual(figures.loss_down, 0.0)
        verdict = judge(figures, 1000, 2.0, 500_000)
        self.assertGreaterEqual(verdict.quality, 3)
        self.assertIn("on the way up", " ".join(verdict.notes))

    def test_lossDown(self):
        """And each tenth on the way down."""
        self.media.udp.down = lambda number: number % 10
        figures = self.run_trace()
        self.assertEqual(figures.loss_up, 0.0)
        self.assertLess(abs(figures.loss_down - 0.1), 0.045)
        verdict = judge(figures, 1000, 2.0, 500_000)
        self.assertIn("on the way down", " ".join(verdict.notes))

    def test_overTCP(self):
        """Where the server wants no UDP nothing is measured."""
        self.media.mode = StreamTransMode.TCP
        for call in self.trace.start, self.trace.listen, lambda: self.trace.bound:
            self.assertRaises(Refused, call)
        self.assertEqual(self.asked, [])

    def test_whileItRuns(self):
        """Figures do not take for lost what is under way."""
        self.trace.start()
        self.advance(1.0)
        self.assertLess(self.trace.figures().loss_up, 0.01)
        self.assertTrue(self.trace.sending)

    def test_nothingComes(self):
        """Without UDP the end comes all the same, and says so."""
        self.media.udp.up = lambda number: False
        figures = self.run_trace()
        self.assertEqual((figures.reports, figures.loss_up), (0, 1.0))
        verdict = judge(figures, 1000, 2.0, 500_000)
        self.assertEqual(verdict.quality, 4)
        self.assertIn("does not get through", verdict.text)

    def test_lastProbesLost(self):
        """What is lost at the very end counts, too."""
        self.media.udp.up = lambda number: number <= 50 or number > 125
        figures = self.run_trace()
        self.assertLess(abs(figures.loss_up - 0.6), 0.075)

    def test_refused(self):
        """Wrong sizes and rates, no media, the server's no."""
        for how in ({"size": 63}, {"size": 1201}, {"rate": 1}, {"rate": 10**9}):
            error = self.assertRaises(Refused, self.trace.start, **how)
            self.assertEqual(error.code, ResultCode.FUNCOPTERROR)
        self.setup = None
        self.assertRaises(Refused, self.trace.start)
        self.setup = SETUP
        self.answer = lambda: fail(Refused(ResultCode.ROOM_NOTIN))
        self.failureResultOf(self.trace.start(), Refused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopTwice(self):
        """Both get the figures; without a trace there are none."""
        self.assertEqual(self.successResultOf(self.trace.stop()), TraceFigures())
        self.trace.start()
        self.advance(0.5)
        first, second = self.trace.stop(), self.trace.stop()
        self.advance(2.0)
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))

    def test_stopLater(self):
        """Who stops what has ended long ago gets its figures."""
        figures = self.run_trace()
        self.assertEqual(self.successResultOf(self.trace.stop()), figures)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_startTwice(self):
        """The later one counts, and probes leave at its rate alone."""
        answers = [Deferred(), Deferred()]
        waiting = list(answers)
        self.answer = lambda: waiting.pop(0)
        self.trace.start(rate=5_000_000)
        self.trace.start(rate=80_000)
        self.answer = lambda: succeed(None)
        for answer in answers:
            answer.callback(None)
        self.advance(2.0)
        self.assertLess(self.media.udp.sent, 25)
        self.trace.stop()
        self.advance(2.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_startWhileStopping(self):
        """Who waits for the figures gets what there is; the new one goes on."""
        self.trace.start()
        self.advance(0.5)
        stopping = self.trace.stop()
        self.trace.start()
        self.assertGreater(self.successResultOf(stopping).sent, 0)
        self.advance(0.5)
        self.assertTrue(self.trace.sending)
        stopping = self.trace.stop()
        self.advance(2.0)
        self.assertLess(self.successResultOf(stopping).loss_up, 0.01)

    def test_stopBeforeTheAnswer(self):
        """What is stopped before the server has said yes does not begin."""
        waiting = Deferred()
        self.answer = lambda: waiting
        self.trace.start()
        self.answer = lambda: succeed(None)
        self.assertEqual(self.successResultOf(self.trace.stop()), TraceFigures())
        waiting.callback(None)
        self.advance(0.5)
        self.assertEqual(self.media.udp.sent, 0)
        self.assertEqual(self.asked[-1], SetUdpTrace(TraceMode.OFF, 0))

    def test_sessionOver(self):
        """A trace that is being stopped when the session ends is not left open."""
        self.trace.start()
        self.advance(0.5)
        stopping = self.trace.stop()
        self.trace.forget()
        self.assertGreater(self.successResultOf(stopping).sent, 0)
        self.assertFalse(self.trace.sending)

    def test_listen(self):
        """Who listens hears others and sends nothing."""
        self.successResultOf(self.trace.listen())
        self.advance(1.0)
        self.assertEqual(self.media.udp.sent, 0)
        self.assertEqual(self.asked, [SetUdpTrace(TraceMode.LISTEN, 0)])

    def test_slowAnswer(self):
        """Nothing is sent before the server has said yes."""
        waiting = Deferred()
        self.answer = lambda: waiting
        self.trace.start()
        self.advance(0.5)
        self.assertEqual(self.media.udp.sent, 0)
        self.answer = lambda: succeed(None)
        waiting.callback(None)
        self.advance(0.5)
        self.assertGreater(self.media.udp.sent, 20)


class CountTests(SynchronousTestCase):
    """`TraceCount` and hostile datagrams."""

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=200))
    def test_garbage(self, data):
        """Whatever comes is counted, and changes nothing."""
        count = TraceCount(SETUP, 5)
        count.receive(data, 1.0)
        self.assertEqual((count.refused, count.figures()), (1, TraceFigures()))


class VerdictTests(SynchronousTestCase):
    """`judge`."""

    def figures(self, received=1000, down=1000, trip=0.02, jitter=0.001):
        """Of 1000 probes."""
        peer = PeerFigures(7, 1000, received, 1000, down, jitter, 0)
        return TraceFigures(
            1000, received, 1000, jitter, trip, trip, 9, {7: peer}, 7, True
        )

    def test_grades(self):
        """Each figure alone can spoil it."""
        for better, worse in (
            (self.figures(), self.figures(received=980)),
            (self.figures(received=980), self.figures(received=940)),
            (self.figures(down=940), self.figures(down=850)),
            (self.figures(down=850), self.figures(down=500)),
            (self.figures(), self.figures(trip=0.2)),
            (self.figures(trip=0.2), self.figures(trip=2.0)),
            (self.figures(), self.figures(jitter=0.05)),
        ):
            one, other = (judge(each, 1000, 10, 500_000) for each in (better, worse))
            self.assertLess(one.quality, other.quality)
            self.assertNotEqual(one.text, other.text)
            self.assertTrue(other.notes)

    def test_nothingSent(self):
        """No verdict without a trace."""
        self.assertEqual(judge(TraceFigures(), 1000, 0, 1).text, "nothing was sent")
