"""Tests for `anychat.media.adaptation`: which layer goes over which link."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import Ssrc
from anychat.media.adaptation import (
    FIRST_PENALTY,
    PROBE_INTERVAL,
    RETURNING,
    Adaptation,
    Spare,
    Switch,
)
from anychat.media.estimate import Sample
from anychat.media.signals import MAX_TRAIN, Probe, ProbeResult
from test.media.links import Link, Sender

ROUND_TRIP = 0.040
FULL, SMALL, OTHER, OTHER_SMALL = map(Ssrc, (1, 2, 3, 4))
#: Bytes of a probe's datagram.
PROBE = 1164


class Receiver:
    """A receiver behind a link, and the server that adapts to it."""

    def __init__(self, link):
        self.link = link
        self.adaptation = Adaptation()
        self.sender = Sender(link)
        self.rates = {FULL: 8e5, SMALL: 2e5}
        self.current = {FULL: FULL}
        self.log = []
        self.probed = 0
        self._train = []
        self._results = []
        self.adaptation.add(FULL, SMALL)

    @property
    def now(self):
        return self.sender.now

    def rate(self, ssrc):
        """What a stream comes in at."""
        return self.rates.get(ssrc, 0.0)

    def run(self, seconds):
        """Let time pass, frame by frame."""
        end = self.now + seconds
        while self.now < end:
            sent = sum(self.rate(ssrc) for ssrc in self.current.values())
            # Timers do not wait for the next frame.
            for step in range(12):
                self._wake(self.now + step * 0.005)
            samples = self.sender.step(sent)
            self._wake(self.now)
            if samples:
                self.adaptation.report(samples, self.now, ROUND_TRIP, self.rate)
            while self._results and self._results[0][0] <= self.now:
                self.adaptation.probe_result(
                    self._results.pop(0)[1], self.now, self.rate
                )
            self._act()

    def _wake(self, now):
        timeout = self.adaptation.next_timeout()
        if timeout is not None and timeout <= now:
            self.adaptation.handle_timeout(now)
            self._act(now)

    def _act(self, now=None):
        for action in self.adaptation.actions():
            if isinstance(action, Probe):
                self._probe(action, now or self.now)
                continue
            self.log.append((self.now, action))
            if isinstance(action, Switch):
                layer = {FULL: SMALL, OTHER: OTHER_SMALL}[action.stream]
                self.current[action.stream] = layer if action.small else action.stream

    def _probe(self, probe, now):
        self.probed += 1
        if not probe.number:
            self._train = []
        came = self.link.arrival(now, PROBE)
        if came is not None:
            self._train.append(came)
        if probe.number == probe.packets - 1 and self._train:
            result = ProbeResult(
                probe.train,
                len(self._train),
                PROBE * (len(self._train) - 1),
                self._train[-1] - self._train[0],
            )
            self._results.append((self._train[-1] + self.link.delay, result))

    def switches(self, since=0.0):
        """When to which layer, smaller or not."""
        return [
            (when - since, action.small)
            for when, action in self.log
            if isinstance(action, Switch) and when >= since
        ]


class LinkTests(SynchronousTestCase):
    """One video with two layers over links that change."""

    def test_wide(self):
        """Where the full picture fits nothing happens, and nothing is probed."""
        receiver = Receiver(Link(4e6))
        receiver.run(60)
        self.assertEqual((receiver.log, receiver.probed), ([], 0))

    def test_limited(self):
        """Down within two seconds, not up while it is limited, up within ten
        seconds of its end; whatever the link's queue."""
        for queue in (10_000, 50_000, 200_000):
            receiver = Receiver(Link(4e6, queue))
            receiver.run(10)
            receiver.link.rate = 3e5
            limited = receiver.now
            receiver.run(60)
            ((down, small),) = receiver.switches(limited)
            self.assertTrue(small)
            self.assertLess(down, 2.0)
            receiver.link.rate = 4e6
            ended = receiver.now
            receiver.run(30)
            ((up, small),) = receiver.switches(ended)
            self.assertFalse(small)
            self.assertLess(up, 10.0)

    def test_probesAreLittle(self):
        """Probing a thin link costs it less than a tenth."""
        receiver = Receiver(Link(3e5))
        receiver.run(60)
        self.assertGreater(receiver.probed, 10)
        self.assertLess(receiver.probed * PROBE * 8 / 60, 0.1 * 3e5)

    def test_justTooThin(self):
        """A link that takes nearly the full picture is not tried again and again."""
        receiver = Receiver(Link(7.5e5))
        receiver.run(120)
        self.assertLess(len(receiver.switches()), 12)

    def test_fitsByItself(self):
        """A full picture that has become small enough needs no probe."""
        receiver = Receiver(Link(6e5))
        receiver.run(10)
        receiver.rates[FULL] = 2.2e5
        before = receiver.probed
        receiver.run(10)
        self.assertEqual(receiver.switches()[-1][1], False)
        self.assertLessEqual(receiver.probed - before, 2 * MAX_TRAIN)

    def test_disabled(self):
        """Who wants no adaptation gets the full picture, and gets it back."""
        receiver = Receiver(Link(3e5))
        receiver.run(5)
        self.assertEqual(receiver.current, {FULL: SMALL})
        receiver.adaptation.enabled = False
        receiver.run(20)
        self.assertEqual(receiver.current, {FULL: FULL})
        receiver.adaptation.enabled = True
        receiver.run(3)
        self.assertEqual(receiver.current, {FULL: SMALL})

    def test_twoVideos(self):
        """The bigger one goes down first, and both only where they must; the
        smaller one comes back first."""
        receiver = Receiver(Link(4e6))
        receiver.rates |= {OTHER: 4e5, OTHER_SMALL: 1e5}
        receiver.current[OTHER] = OTHER
        receiver.adaptation.add(OTHER, OTHER_SMALL)
        receiver.run(5)
        receiver.link.rate = 8e5
        receiver.run(10)
        self.assertEqual(receiver.current, {FULL: SMALL, OTHER: OTHER})
        receiver.link.rate = 3.5e5
        receiver.run(10)
        self.assertEqual(receiver.current, {FULL: SMALL, OTHER: OTHER_SMALL})
        receiver.link.rate = 4e6
        since = receiver.now
        receiver.run(30)
        ups = [
            action.stream
            for when, action in receiver.log
            if isinstance(action, Switch) and when > since
        ]
        self.assertEqual(ups, [OTHER, FULL])


class DecisionTests(SynchronousTestCase):
    """What does not need a link."""

    def setUp(self):
        self.adaptation = Adaptation()
        self.rates = {FULL: 8e5, SMALL: 2e5}
        self.now = 100.0

    def rate(self, ssrc):
        """What a stream comes in at."""
        return self.rates.get(ssrc, 0.0)

    def consider(self, seconds=0.0):
        """Look after a while; what is to be done."""
        self.now += seconds
        self.adaptation.consider(self.now, self.rate)
        return self.adaptation.actions()

    def report(self, delay, seconds=1.0, size=900):
        """Packets of the last second were under way for that long."""
        self.now += seconds
        samples = [
            Sample(
                self.now - 0.5 + step / 100, self.now - 0.5 + step / 100 + delay, size
            )
            for step in range(50)
        ]
        self.adaptation.report(samples, self.now, ROUND_TRIP, self.rate)
        return self.adaptation.actions()

    def congest(self):
        """Something stands in the way; what is to be done."""
        self.report(0.02)
        return self.report(0.50)

    def test_silentFullPicture(self):
        """A full picture that does not come in is left for the small one, and
        only gone back to when it has been there for a while."""
        self.adaptation.add(FULL, SMALL)
        self.assertEqual(self.consider(), [])
        self.rates[FULL] = 0.0
        self.assertEqual(self.consider(), [Switch(FULL, True)])
        self.rates[FULL] = 8e5
        self.assertEqual(self.consider(0.5), [])
        self.assertEqual(self.consider(RETURNING), [Switch(FULL, False)])

    def test_silentSmallPicture(self):
        """A small one that ceases is left for the full one at once."""
        self.adaptation.add(FULL, SMALL)
        self.assertEqual(self.congest(), [Switch(FULL, True)])
        self.rates[SMALL] = 0.0
        self.assertEqual(self.consider(), [Switch(FULL, False)])

    def test_nothingComesIn(self):
        """With neither there is nothing to choose."""
        self.rates = {}
        self.adaptation.add(FULL, SMALL)
        self.assertEqual(self.consider(), [])
        self.assertEqual(self.congest(), [])

    def test_oneLayer(self):
        """Without a layer discardable frames are left out, until the way has been
        without trouble for a while."""
        self.adaptation.add(FULL, None)
        self.assertEqual(self.congest(), [Spare(FULL, True)])
        self.assertTrue(self.adaptation.spares(FULL))
        self.assertEqual(self.congest(), [])
        actions = []
        for _ in range(12):
            actions += self.report(0.02)
        self.assertEqual(actions, [Spare(FULL, False)])
        self.assertFalse(self.adaptation.spares(FULL))

    def test_layerComes(self):
        """A video that gets a layer is not spared any more, but switched."""
        self.adaptation.add(FULL, None)
        self.assertEqual(self.congest(), [Spare(FULL, True)])
        self.adaptation.add(FULL, SMALL)
        self.assertFalse(self.adaptation.spares(FULL))
        self.assertEqual(self.adaptation.actions(), [Spare(FULL, False)])
        self.assertEqual(self.congest(), [Switch(FULL, True)])

    def test_mistakeCosts(self):
        """Who has to go down soon after going up waits longer and longer."""
        self.adaptation.add(FULL, SMALL)
        waits = []
        self.congest()
        for _ in range(3):
            down = self.now
            while True:
                actions = self.report(0.02, 0.5)
                # A way that has recovered by itself.
                self.adaptation.estimate.proved(1e7)
                if Switch(FULL, False) in actions:
                    break
            waits.append(self.now - down)
            self.assertIn(Switch(FULL, True), self.report(0.50, 1.5))
        self.assertLess(waits[0], FIRST_PENALTY)
        self.assertGreaterEqual(waits[1], FIRST_PENALTY)
        self.assertGreaterEqual(waits[2], 2 * FIRST_PENALTY)

    def test_trainsThatAreLost(self):
        """A train that is not answered is forgotten, and the next one goes out."""
        self.adaptation.add(FULL, SMALL)
        self.congest()
        trains = set()
        for _ in range(40):
            for action in self.report(0.02, size=250):
                if isinstance(action, Probe):
                    trains.add(action.train)
            self.adaptation.handle_timeout(self.now)
        self.assertIn(len(trains), range(3, int(40 / PROBE_INTERVAL) + 1))

    def test_foreignAnswers(self):
        """Answers to what was not asked change nothing."""
        self.adaptation.add(FULL, SMALL)
        for train in (0, 1, 77):
            result = ProbeResult(train, 6, 6000, 0.0)
            self.adaptation.probe_result(result, self.now, self.rate)
        self.assertEqual(self.adaptation.actions(), [])

    def test_forgets(self):
        """What is not received any more is decided about no more."""
        self.adaptation.add(FULL, SMALL)
        self.adaptation.remove(FULL)
        self.adaptation.remove(FULL)
        self.assertEqual(self.congest(), [])
        self.assertEqual(len(self.adaptation), 0)

    def test_moved(self):
        """A new way is not judged by the old one."""
        self.adaptation.add(FULL, SMALL)
        self.congest()
        self.adaptation.moved()
        self.assertIsNone(self.adaptation.estimate.rate)
        self.assertIn(Switch(FULL, False), self.report(0.02, 5.0))

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("report"), st.floats(0, 2), st.floats(0, 2)),
                st.tuples(st.just("rates"), st.floats(0, 2e6), st.floats(0, 5e5)),
                st.tuples(
                    st.just("result"), st.floats(0, 1), st.sampled_from([0, 6, 80])
                ),
                st.tuples(st.just("layer"), st.booleans(), st.none()),
                st.tuples(st.just("wait"), st.floats(0, 5), st.none()),
            ),
            max_size=60,
        )
    )
    def test_anything(self, steps):
        """Whatever happens: switches alternate, and trains stay within limits."""
        self.setUp()
        self.adaptation.add(FULL, SMALL)
        small = False
        trains = {}
        for step, first, second in steps:
            actions = []
            if step == "report":
                actions = self.report(first, second + 0.1)
            elif step == "rates":
                self.rates = {FULL: first, SMALL: second}
            elif step == "result" and trains:
                result = ProbeResult(max(trains), second, 1164 * second, first)
                self.adaptation.probe_result(result, self.now, self.rate)
            elif step == "layer" and first:
                self.adaptation.add(FULL, SMALL)
            elif step == "wait":
                self.now += first
                self.adaptation.handle_timeout(self.now)
            for action in actions + self.adaptation.actions():
                if isinstance(action, Switch):
                    self.assertNotEqual(action.small, small)
                    small = action.small
                elif isinstance(action, Probe):
                    self.assertLessEqual(action.packets, MAX_TRAIN)
                    self.assertEqual(action.number, trains.get(action.train, 0))
                    trains[action.train] = action.number + 1
