"""Tests for `anychat.media.switching`: legs that get one layer or the other."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind
from anychat.errors import LocalError
from anychat.ids import SessionId, Ssrc
from anychat.media import rtcp
from anychat.media.counters import Drop
from anychat.media.figures import FRESH, Losses
from anychat.media.leg_state import RETRANSMISSIONS, TOLD, TOLD_BLOCK, TOLD_ONCE
from anychat.media.rtp import FrameMarking
from anychat.media.signals import LayerPlace, LeftOut, Probe, ProbeResult, unwrap, wrap
from anychat.media.switching import GIVE_UP, LOOK, TELL_AGAIN
from test.media.legs import World
from test.media.test_routes import KEY_START, rtp

ALICE, BOB, CAROL = SessionId(1), SessionId(2), SessionId(3)
VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
FULL, SMALL, SOUND = Ssrc(0xF0), Ssrc(0x50), Ssrc(0xA0)
START = FrameMarking(start=True)
SPARE = FrameMarking(start=True, end=True, discardable=True)
#: Bytes of a packet.
PAYLOAD = bytes(1100)


class LinkPeer:
    """A peer whose RTCP goes over his TCP link."""

    def __init__(self, world, peer):
        self.world = world
        self.peer = peer
        self.leg = peer.leg
        self.credentials = peer.credentials

    def report(self, *packets):
        """Send RTCP under the leg's keys."""
        data = self.peer.sender.protect(rtcp.build(packets))
        self.world.legs.receive_from_link(self.leg, data, self.world.now)

    def places(self):
        """Of layers that he was told."""
        told = [
            unwrap(packet)
            for data, leg in self.world.legs.to_links()
            if leg == self.leg
            for packet in rtcp.parse(self.peer.receiver.unprotect(data))
        ]
        return [signal for signal in told if isinstance(signal, LayerPlace)]


class SwitchingTests(SynchronousTestCase):
    """Alice publishes two layers, Bob and Carol watch."""

    def setUp(self):
        self.world = World()
        self.legs = self.world.legs
        self.alice, self.bob, self.carol = map(self.world.peer, (ALICE, BOB, CAROL))
        self.legs.publish(ALICE, FULL, VIDEO)
        self.legs.publish(ALICE, SMALL, VIDEO)
        self.legs.add_layer(FULL, SMALL)
        for leg in (BOB, CAROL):
            self.legs.subscribe(leg, FULL, self.world.now)
        self.next = {FULL: 0, SMALL: 0}
        self.told = {}
        self.layers = (FULL, SMALL)

    def frames(self, count, marking=START):
        """Alice sends frames of both layers, at 25 a second."""
        for _ in range(count):
            for ssrc, packets in ((FULL, 4), (SMALL, 1)):
                for place in range(packets if ssrc in self.layers else 0):
                    sequence = self.next[ssrc]
                    self.next[ssrc] += 1
                    first = marking if place == 0 else FrameMarking(discardable=False)
                    self.alice.send(rtp(sequence, first, ssrc, PAYLOAD))
            self.world.wait(0.04)

    def got(self, peer):
        """The layers a peer was sent since the last call, in order."""
        media, peer.media = peer.media, []
        ssrcs = [int.from_bytes(data[8:12]) for data in media if data[1] != 200]
        return [
            ssrc
            for place, ssrc in enumerate(ssrcs)
            if place == 0 or ssrcs[place - 1] != ssrc
        ]

    def feedback(self, peer, ssrc=FULL, late=0.0, lost=0):
        """A peer tells when the packets since the last time came."""
        first = self.told.get((peer.leg, ssrc), 0)
        count = self.next[ssrc] - first
        self.told[peer.leg, ssrc] = self.next[ssrc]
        if not count:
            return
        packets = (4 if ssrc == FULL else 1) * 25
        offsets = [
            None if place < lost else max(0, round((count - place) / packets * 1024))
            for place in range(count)
        ]
        timestamp = int((self.world.now + late + 777) * 65536) & 0xFFFFFFFF
        block = rtcp.StreamArrivals(ssrc, first & 0xFFFF, tuple(offsets))
        peer.report(
            rtcp.CongestionFeedback(peer.credentials.client_ssrc, (block,), timestamp)
        )

    def signals(self, peer):
        """The signals a peer was sent since the last call."""
        feedback, peer.feedback = peer.feedback, []
        return [signal for signal in map(unwrap, feedback) if signal is not None]

    def congest(self, peer=None):
        """A peer's way is overused."""
        peer = peer or self.bob
        self.frames(1, KEY_START)
        for _ in range(5):
            self.frames(5)
            self.feedback(peer)
        self.frames(5)
        self.got(peer)
        self.signals(peer)
        self.feedback(peer, late=0.5)

    def test_startsInFull(self):
        """Everybody gets the full picture at first, and it alone."""
        self.frames(1, KEY_START)
        self.frames(20)
        self.assertEqual(self.got(self.bob), [FULL])
        self.assertEqual(self.signals(self.bob), [])

    def test_down(self):
        """Who cannot take it is told where the small one stands, and gets that
        from its next key frame on; the others do not notice."""
        self.congest()
        at = self.next[SMALL] - 1
        self.assertEqual(self.signals(self.bob), [LayerPlace(FULL, SMALL, 0, at)])
        asked = [p for p in self.alice.feedback if isinstance(p, rtcp.Pli)]
        self.assertEqual(asked[-1].media_ssrc, SMALL)
        self.frames(3)
        self.assertEqual(self.got(self.bob), [])
        self.frames(1, KEY_START)
        self.frames(5)
        self.assertEqual(self.got(self.bob), [SMALL])
        self.assertEqual(self.got(self.carol), [FULL])
        self.assertEqual(self.legs.switching.switched, 1)

    def test_up(self):
        """When probes get through he is switched back, without a hole: the small
        layer ends when the full one's key frame has come."""
        self.congest()
        self.signals(self.bob)
        self.frames(1, KEY_START)
        for _ in range(60):
            self.frames(5)
            self.feedback(self.bob, SMALL)
            signals = self.signals(self.bob)
            if any(isinstance(signal, LayerPlace) for signal in signals):
                break
            for signal in signals:
                if isinstance(signal, Probe) and signal.number == signal.packets - 1:
                    octets = 1164 * (signal.packets - 1)
                    span = octets * 8 / 4e6 if signal.packets == 6 else 0.6
                    result = ProbeResult(signal.train, signal.packets, octets, span)
                    own = self.bob.credentials.client_ssrc
                    self.bob.report(wrap(own, result))
        else:
            self.fail("never switched back")
        self.got(self.bob)
        self.frames(3)
        self.assertEqual(self.got(self.bob), [SMALL])
        self.frames(1, KEY_START)
        self.world.wait(2 * LOOK)
        self.frames(5)
        self.assertEqual(self.got(self.bob)[-1], FULL)
        self.frames(5)
        self.assertEqual(self.got(self.bob), [FULL])

    def test_toldAgain(self):
        """As long as the key frame has not come he is told again."""
        self.congest()
        self.world.wait(2.5 * TELL_AGAIN)
        self.assertEqual(len(self.signals(self.bob)), 3)

    def test_givenUp(self):
        """If no key frame comes he gets the full one again."""
        self.congest()
        self.world.wait(GIVE_UP + 1)
        self.signals(self.bob)
        self.frames(1, KEY_START)
        self.frames(3)
        self.assertEqual(self.got(self.bob), [FULL])

    def test_overLink(self):
        """Over a TCP link it is the same: what waited too long, or was left out,
        shows in the feedback."""
        self.legs.over_link(BOB, True, self.world.now)
        peer = LinkPeer(self.world, self.bob)
        self.frames(1, KEY_START)
        for lost in (0, 0, 0, 15):
            self.frames(5)
            self.feedback(peer, lost=lost)
        self.assertEqual([place.ssrc for place in peer.places()], [SMALL])
        self.frames(1, KEY_START)
        self.frames(5)
        self.world.wait(LOOK)
        copies = self.world.forwarder.take_copies(1000)
        self.assertEqual({copy.leg for copy in copies}, {BOB})
        self.assertEqual(copies[-1].ssrc, SMALL)

    def test_layerLeftOut(self):
        """What the publisher leaves out is left for the other one, by all."""
        self.frames(1, KEY_START)
        self.frames(20)
        self.layers = (SMALL,)
        self.frames(25)
        self.got(self.bob), self.got(self.carol)
        self.frames(1, KEY_START)
        self.frames(5)
        self.assertEqual(self.got(self.bob), [SMALL])
        self.assertEqual(self.got(self.carol), [SMALL])

    def test_notAdaptive(self):
        """Who does not want it gets everything in full, now and later."""
        self.legs.switching.adapt(BOB, False, self.world.now)
        self.congest()
        self.frames(5)
        self.assertEqual(self.got(self.bob), [FULL])
        self.congest(self.carol)
        self.frames(1, KEY_START)
        self.assertEqual(self.got(self.carol), [SMALL])
        self.legs.switching.adapt(CAROL, False, self.world.now)
        self.frames(1, KEY_START)
        self.world.wait(2 * LOOK)
        self.frames(5)
        self.assertEqual(self.got(self.carol)[-1], FULL)

    def test_layerComesLater(self):
        """Watchers of a camera are there before its layer is."""
        self.legs.unpublish(FULL)
        self.legs.unpublish(SMALL)
        self.legs.publish(ALICE, FULL, VIDEO)
        self.legs.subscribe(BOB, FULL, self.world.now)
        self.legs.publish(ALICE, SMALL, VIDEO)
        self.legs.add_layer(FULL, SMALL)
        self.congest()
        self.frames(1, KEY_START)
        self.assertEqual(self.got(self.bob), [SMALL])

    def test_wrongLayers(self):
        """A layer is of one video, which has no other."""
        for stream, layer in ((FULL, SMALL), (FULL, FULL), (Ssrc(9), SMALL)):
            with self.assertRaises(LocalError):
                self.legs.add_layer(stream, layer)

    def test_feedbackOfOthers(self):
        """Feedback on what one does not get, or under another's name, is dropped;
        so is feedback on packets that were never sent."""
        self.frames(1, KEY_START)
        self.frames(20)
        self.feedback(self.bob, SMALL)
        self.assertEqual(self.legs.drops[Drop.NOT_SUBSCRIBED], 1)
        own, other = (each.credentials.client_ssrc for each in (self.bob, self.carol))
        self.bob.report(rtcp.ReceiverReport(own), rtcp.CongestionFeedback(other, (), 0))
        self.assertEqual(self.legs.drops[Drop.FORGED_RTCP], 1)
        block = rtcp.StreamArrivals(FULL, 30000, (None,) * 500)
        for _ in range(5):
            self.bob.report(rtcp.CongestionFeedback(own, (block,), 0))
        self.frames(5)
        self.assertEqual(self.got(self.bob), [FULL])

    def test_feedbackIsLimited(self):
        """A leg's feedback is read as far as anybody can have something to tell;
        a flood of it, large or small, is dropped and counted."""
        self.frames(1, KEY_START)
        self.frames(20)
        own = self.bob.credentials.client_ssrc
        for count in (0, 400):
            self.world.now += TOLD.burst / TOLD.rate
            block = rtcp.StreamArrivals(FULL, 0, (0,) * count)
            read = TOLD.burst // (TOLD_ONCE + TOLD_BLOCK + count)
            before = self.legs.drops[Drop.RTCP_RATE]
            for _ in range(read):
                self.bob.report(rtcp.CongestionFeedback(own, (block,), 0))
            self.assertEqual(self.legs.drops[Drop.RTCP_RATE], before)
            for _ in range(50):
                self.bob.report(rtcp.CongestionFeedback(own, (block,), 0))
            self.assertEqual(self.legs.drops[Drop.RTCP_RATE], before + 50)

    def test_publisherIsTold(self):
        """The publisher hears when his packets came, while somebody watches."""
        self.frames(1, KEY_START)
        self.frames(10)
        told = [
            block
            for packet in self.alice.feedback
            if isinstance(packet, rtcp.CongestionFeedback)
            for block in packet.blocks
        ]
        self.assertEqual({block.ssrc for block in told}, {FULL, SMALL})
        for leg in (BOB, CAROL):
            self.legs.unsubscribe(leg, FULL)
        self.world.wait(2.0)
        self.alice.feedback.clear()
        self.frames(20)
        self.assertEqual(self.alice.feedback, [])

    def test_spared(self):
        """With one layer discardable frames go; who asks for them is told."""
        for leg in (BOB, CAROL):
            self.legs.unsubscribe(leg, FULL)
        self.legs.unpublish(SMALL)
        self.layers = (FULL,)
        self.legs.subscribe(BOB, FULL, self.world.now)
        self.congest()
        before = self.next[FULL]
        self.alice.send(rtp(before, SPARE, FULL), rtp(before + 1, START, FULL))
        self.next[FULL] += 2
        self.assertEqual(len(self.bob.media), 1)
        self.bob.nack(before, before + 1, ssrc=FULL)
        self.assertIn(LeftOut(FULL, (before,)), self.signals(self.bob))
        self.assertEqual(len(self.bob.media), 2)
        # What is beyond what a leg may have is not even looked for.
        self.signals(self.bob)
        nack = rtcp.Nack(self.bob.credentials.client_ssrc, FULL, (before,))
        for _ in range(50):
            self.bob.report(*[nack] * 30)
        dropped = 1500 - (RETRANSMISSIONS.burst - 2)
        self.assertEqual(self.legs.drops[Drop.RETRANSMIT_RATE], dropped)

    def test_figures(self):
        """Bit rates, losses and round trip of a leg."""
        self.legs.publish(ALICE, SOUND, AUDIO)
        self.frames(1, KEY_START)
        for _ in range(30):
            self.frames(1)
            self.alice.send(rtp(self.next.setdefault(SOUND, 0), None, SOUND))
            self.next[SOUND] += 1
        figures = self.legs.figures(ALICE, self.world.now)
        self.assertApproximates(figures.video_bitrate, 25 * 5 * 1148 * 8, 60000)
        self.assertApproximates(figures.audio_bitrate, 25 * 35 * 8, 900)
        self.assertEqual((figures.losses, figures.quality), (Losses(), 0))
        own = self.bob.credentials.client_ssrc
        for highest, lost in ((1000, 0), (1100, 4)):
            block = rtcp.ReportBlock(FULL, 26, lost, highest, 0)
            self.bob.report(rtcp.ReceiverReport(own, (block,)))
        figures = self.legs.figures(BOB, self.world.now)
        self.assertApproximates(figures.losses.loss, 0.1, 0.01)
        self.assertApproximates(figures.losses.after_repair, 0.04, 0.001)
        self.assertEqual(figures.quality, 3)
        self.assertEqual(figures.video_bitrate, 0)
        self.world.wait(6)
        self.assertEqual(self.legs.figures(BOB, self.world.now).quality, 0)

    def test_figuresAskedOften(self):
        """Who asks again and again costs little: the figures stay for a moment."""
        self.frames(1, KEY_START)
        before = self.legs.figures(ALICE, self.world.now)
        self.alice.send(rtp(self.next[FULL], START, FULL, PAYLOAD))
        self.assertIs(self.legs.figures(ALICE, self.world.now), before)
        self.world.wait(FRESH)
        after = self.legs.figures(ALICE, self.world.now)
        self.assertGreater(after.video_bitrate, before.video_bitrate)

    def test_nothingStays(self):
        """When all have left, nothing is left of them."""
        self.congest()
        for leg in (BOB, ALICE, CAROL):
            self.legs.close(leg)
        self.assertIsNone(self.legs.next_timeout())
        self.assertEqual(len(self.legs.switching), 0)
        self.assertEqual(vars(self.legs.switching)["_fixed"], set())

    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(
            st.sampled_from(
                [
                    "key",
                    "frames",
                    "good",
                    "bad",
                    "lost",
                    "full off",
                    "full on",
                    "wait",
                    "leave",
                    "watch",
                    "answer",
                    "silent",
                ]
            ),
            max_size=40,
        )
    )
    def test_anything(self, steps):
        """Whatever happens, a watcher has a route for one layer or, while he is
        switched, for two; and nobody else is touched."""
        self.setUp()
        watching = True
        for step in steps:
            if step == "key":
                self.frames(1, KEY_START)
            elif step == "frames":
                self.frames(6)
            elif step in ("good", "bad", "lost"):
                for ssrc in (FULL, SMALL):
                    late = 0.6 if step == "bad" else 0.0
                    self.feedback(self.bob, ssrc, late, 9 if step == "lost" else 0)
            elif step == "full off":
                self.layers = (SMALL,)
            elif step == "full on":
                self.layers = (FULL, SMALL)
            elif step == "wait":
                self.world.wait(0.5)
            elif step == "leave" and watching:
                self.legs.unsubscribe(BOB, FULL)
                watching = False
            elif step == "watch" and not watching:
                self.legs.subscribe(BOB, FULL, self.world.now)
                watching = True
            elif step == "answer":
                for signal in self.signals(self.bob):
                    if isinstance(signal, Probe):
                        result = ProbeResult(signal.train, signal.packets, 9000, 0.01)
                        own = self.bob.credentials.client_ssrc
                        self.bob.report(wrap(own, result))
            elif step == "silent":
                self.world.wait(3)
            routes = {
                stream.ssrc: {each.leg for each in stream.destinations}
                for stream in self.world.forwarder.counters().streams
            }
            layers = [ssrc for ssrc in (FULL, SMALL) if BOB in routes[ssrc]]
            self.assertIn(len(layers), (1, 2) if watching else (0,))
            self.assertTrue(any(CAROL in legs for legs in routes.values()))
        self.legs.close(BOB)
        self.legs.close(CAROL)
        self.legs.close(ALICE)
        self.assertIsNone(self.legs.next_timeout())
