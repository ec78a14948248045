"""Legs: addresses, routes and feedback of clients that the test plays."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError
from anychat.media import rtcp, stun
from anychat.media.binding import SILENCE
from anychat.media.counters import Drop
from anychat.media.demux import Kind
from anychat.media.leg import ROUND
from anychat.media.path import Path
from anychat.media.rtp import FrameMarking
from anychat.media.srtp import SrtcpSender
from test.media.legs import (
    ALICE,
    AUDIO,
    BOB,
    CAROL,
    OTHER,
    VIDEO,
    LegsTestsMixin,
    World,
)
from test.media.test_routes import KEY_START, SSRC, rtp
from test.media.test_routes import rtcp as fake_rtcp


class LegsTests(LegsTestsMixin, SynchronousTestCase):
    """`Legs`."""

    # Addresses and routes.

    def test_boundFirst(self):
        """A bound publisher and a bound watcher: media flows at once."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.assertEqual(self.bob.media, [rtp(1, KEY_START)])

    def test_boundLater(self):
        """Streams opened and watched before anybody is bound flow as soon as
        both are; the watcher's binding asks for the key frame."""
        carol = self.world.peer(CAROL, bound=False)
        self.legs.publish(CAROL, SSRC, VIDEO)
        self.subscribe(BOB)
        carol.send(rtp(1, KEY_START))
        self.assertEqual(self.bob.media, [])
        self.assertEqual(self.world.forwarder.counters().drops, {Drop.UNBOUND: 1})
        self.assertEqual(carol.feedback, [])
        carol.bind()
        carol.send(rtp(2, KEY_START))
        self.assertEqual(self.bob.media, [rtp(2, KEY_START)])
        own = carol.credentials.server_ssrc
        self.assertEqual(carol.feedback, [rtcp.Pli(own, SSRC)])

    def test_watcherBoundLater(self):
        """A watcher without an address is asked a key frame for when it binds."""
        carol = self.world.peer(CAROL, bound=False)
        self.legs.publish(ALICE, SSRC, VIDEO)
        self.subscribe(CAROL)
        self.assertEqual(self.plis(), 0)
        carol.bind()
        self.assertEqual(self.plis(), 1)
        self.alice.send(rtp(1, KEY_START))
        self.assertEqual(carol.media, [rtp(1, KEY_START)])

    def test_publisherMoves(self):
        """Its streams are taken from the new address when that is checked."""
        self.publish(AUDIO)
        old = self.alice.path
        self.alice.path = Path(("198.51.100.1", 999))
        self.alice.send(rtp(1))
        self.assertEqual(self.bob.media, [])
        self.alice.bind()
        self.alice.send(rtp(2))
        self.world.deliver(rtp(3), old)
        self.assertEqual(self.bob.media, [rtp(2)])

    def test_watcherMoves(self):
        """What it receives goes to the new address, and flows on."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.bob.path = Path(("198.51.100.1", 999))
        self.alice.send(rtp(2))
        self.bob.bind()
        self.alice.send(rtp(3))
        self.assertEqual(self.bob.media, [rtp(1, KEY_START), rtp(3)])

    def test_replayedBindingMovesNothing(self):
        """A captured request that an attacker sends from his address takes
        neither what the client sends nor what it receives."""
        self.publish(AUDIO)
        self.legs.publish(BOB, OTHER, AUDIO)
        self.subscribe(ALICE, OTHER)
        credentials = self.alice.credentials
        captured = stun.request(
            self.world.random(12), credentials.username, credentials.stun_key
        )
        self.alice.send(captured)
        attacker = Path(("203.0.113.66", 6666))
        self.world.deliver(captured, attacker)
        self.world.deliver(rtp(1), attacker)
        self.alice.send(rtp(1))
        self.bob.send(rtp(1, ssrc=OTHER))
        self.assertEqual(len(self.bob.media), 1)
        self.assertEqual(len(self.alice.media), 1)
        self.assertEqual(self.drops(), {Drop.REPLAYED_STUN: 1})

    def test_silentLeg(self):
        """Who is silent gets and gives nothing until bound again, and then
        starts at a key frame."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.world.wait(SILENCE - 1)
        self.alice.bind()
        self.world.wait(2)
        self.assertIsNone(self.legs.bindings.path(BOB))
        self.alice.send(rtp(2, KEY_START))
        self.assertEqual(len(self.bob.media), 1)
        self.bob.bind()
        self.alice.send(rtp(3), rtp(4, KEY_START))
        self.assertEqual(self.bob.media[1:], [rtp(4, KEY_START)])

    def test_idleLegsHaveNoTimers(self):
        """Nothing wakes a server whose legs were never bound."""
        world = World()
        world.peer(ALICE, bound=False)
        world.legs.publish(ALICE, SSRC, VIDEO)
        world.legs.subscribe(ALICE, SSRC, world.now)
        self.assertIsNone(world.legs.next_timeout())

    # Opening and closing.

    def test_subscribeTwice(self):
        """The second time changes nothing."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.subscribe(BOB)
        self.alice.send(rtp(2))
        self.assertEqual(len(self.bob.media), 2)
        self.assertEqual(self.plis(), 1)

    def test_unsubscribe(self):
        """No more media, and no more feedback about it."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.legs.unsubscribe(BOB, SSRC)
        self.legs.unsubscribe(BOB, SSRC)
        self.alice.send(rtp(2))
        self.bob.nack(1)
        self.assertEqual(len(self.bob.media), 1)
        self.assertEqual(self.drops(), {Drop.NOT_SUBSCRIBED: 1})

    def test_unpublish(self):
        """The stream is over for its watchers; nobody waits for it."""
        self.publish()
        self.alice.send(rtp(1), rtp(5))
        self.legs.unpublish(SSRC)
        self.legs.unpublish(SSRC)
        self.alice.send(rtp(6, KEY_START))
        self.assertEqual(self.bob.media, [])
        self.bob.pli()
        self.assertEqual(self.drops(), {Drop.NOT_SUBSCRIBED: 1})
        self.world.wait(10)
        self.assertEqual(len(self.alice.feedback), 1)

    def test_unpublishBeforeItsLossIsRead(self):
        """A loss that was noticed of a stream that has ended is forgotten."""
        self.publish()
        for sequence in (1, 3):
            self.world.forwarder.receive(
                rtp(sequence), self.alice.path.remote, self.world.now
            )
        self.legs.unpublish(SSRC)
        self.legs.receive_waiting(self.world.now)
        self.world.wait(1)
        self.assertEqual(self.legs.requests.packets_asked, 0)

    def test_close(self):
        """A leg that is closed takes its streams and subscriptions along."""
        self.publish()
        self.legs.publish(BOB, OTHER, AUDIO)
        self.subscribe(ALICE, OTHER)
        self.legs.close(ALICE)
        self.legs.close(ALICE)
        self.assertEqual(len(self.legs), 1)
        self.alice.send(rtp(1, KEY_START))
        self.bob.send(rtp(1, ssrc=OTHER))
        self.assertEqual(self.bob.media + self.alice.media, [])
        (stream,) = self.world.forwarder.counters().streams
        self.assertEqual((stream.ssrc, stream.destinations), (OTHER, ()))
        # The id and the SSRCs are free again.
        self.world.peer(ALICE)

    def test_wrongCalls(self):
        """What cannot be is an error of the caller."""
        legs = self.legs
        again = self.alice.credentials
        for call in (
            lambda: legs.open(ALICE, again),
            lambda: legs.open(CAROL, again),
            lambda: legs.publish(CAROL, SSRC, AUDIO),
            lambda: legs.subscribe(CAROL, SSRC, 0.0),
            lambda: legs.subscribe(BOB, SSRC, 0.0),
            lambda: legs.receptions(CAROL),
        ):
            self.assertRaises(LocalError, call)

    # Feedback from receivers.

    def test_rtcpIsASignOfLife(self):
        """A leg that only sends reports stays bound."""
        own = self.bob.credentials.client_ssrc
        for _ in range(10):
            self.world.wait(SILENCE / 2)
            self.bob.report(rtcp.ReceiverReport(own))
        self.assertIsNotNone(self.legs.bindings.path(BOB))

    # Feedback to publishers.

    # Forgeries.

    def test_unknownSender(self):
        """RTCP with an SSRC of no leg."""
        self.bob.send(fake_rtcp(201, 0xDEAD))
        self.assertEqual(self.drops(), {Drop.UNKNOWN_RTCP_SSRC: 1})

    def test_rtcpFromElsewhere(self):
        """RTCP has to come from the leg's bound address."""
        self.publish(AUDIO)
        self.alice.send(rtp(1))
        own = self.bob.credentials.client_ssrc
        data = self.bob.sender.protect(rtcp.build([rtcp.Nack(own, SSRC, (1,))]))
        self.world.deliver(data, Path(("192.0.2.2", 9)))
        self.world.deliver(data, self.alice.path)
        carol = self.world.peer(CAROL, bound=False)
        carol.pli()
        self.assertEqual(len(self.bob.media), 1)
        self.assertEqual(self.drops(), {Drop.RTCP_WRONG_SOURCE: 3})

    def test_serversRtcpReflected(self):
        """The server's own packet sent back to it is nobody's."""
        self.publish()
        keys = self.alice.credentials.rtcp_key, self.alice.credentials.rtcp_salt
        own = self.alice.credentials.server_ssrc
        data = SrtcpSender(*keys, own).protect(rtcp.build([rtcp.Pli(own, SSRC)]))
        self.alice.send(data)
        self.assertEqual(self.drops(), {Drop.UNKNOWN_RTCP_SSRC: 1})

    def test_floodIsReadInRounds(self):
        """One call reads a bounded number, so that others get their turn."""
        for _ in range(2 * ROUND):
            self.world.forwarder.receive(bytes(20), ("192.0.2.9", 9), 0.0)
        self.legs.receive_waiting(self.world.now)
        self.assertEqual(self.drops(), {Drop.MALFORMED_STUN: ROUND})
        self.assertTrue(self.legs.waiting())
        self.assertEqual(len(self.world.forwarder.take(Kind.STUN, 999)), ROUND)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(range(6)),
                st.sampled_from(range(3)),
                st.integers(0, 200),
                st.integers(0, 255),
                st.binary(max_size=8),
            ),
            max_size=12,
        )
    )
    def test_anything(self, steps):
        """Genuine datagrams, damaged, cut, lengthened, repeated and from
        anywhere, raise nothing and bind nobody to where he is not."""
        self.setUp()
        self.publish()
        credentials = self.bob.credentials
        own = credentials.client_ssrc
        genuine = [
            stun.request(bytes(12), credentials.username, credentials.stun_key),
            stun.build(stun.MessageClass.SUCCESS, bytes(12), key=b"x"),
            self.bob.sender.protect(rtcp.build([rtcp.Nack(own, SSRC, (1, 2, 9))])),
            self.bob.sender.protect(rtcp.build([rtcp.Pli(own, SSRC)])),
            rtp(1, KEY_START),
            fake_rtcp(200, SSRC),
        ]
        nobody = Path(("203.0.113.66", 6666))
        paths = [self.alice.path, self.bob.path, nobody]
        for which, where, position, mask, tail in steps:
            data = bytearray(genuine[which])
            if mask:
                data[position % len(data)] ^= mask
            else:
                del data[position:]
            self.world.deliver(bytes(data) + tail, paths[where])
            self.world.wait(0.1)
        self.assertEqual(self.legs.bindings.path(ALICE), self.alice.path)
        self.assertEqual(self.legs.bindings.path(BOB), self.bob.path)

    def test_secretsStayOut(self):
        """Keys do not show where credentials are printed."""
        text = repr(self.alice.credentials)
        for secret in ("stun key", "\\x01"):
            self.assertNotIn(secret, text)

    def test_markingOfDiscardables(self):
        """A discardable frame that starts is not a key frame."""
        self.publish()
        self.alice.send(rtp(1, FrameMarking(start=True, discardable=True)))
        self.assertEqual(self.bob.media, [])


class OverLinkTests(SynchronousTestCase):
    """Legs whose media goes over their TCP links."""

    def setUp(self):
        """Alice publishes; Bob watches over his link."""
        self.world = World()
        self.alice = self.world.peer(ALICE)
        self.bob = self.world.peer(BOB, bound=False)
        self.legs = self.world.legs
        self.legs.publish(ALICE, SSRC, VIDEO)
        self.legs.over_link(BOB, True, self.world.now)
        self.legs.subscribe(BOB, SSRC, self.world.now)

    def lifted(self):
        """What was lifted for Bob."""
        return [copy.data for copy in self.world.forwarder.take_copies(99)]

    def from_link(self, peer, *packets):
        """Packets over a peer's link."""
        for data in packets:
            self.legs.receive_from_link(peer.leg, data, self.world.now)
        self.world.settle()

    def protect(self, peer, *packets):
        """RTCP of a peer's."""
        return peer.sender.protect(rtcp.build(packets))

    def test_down(self):
        """What he watches is lifted, from a key frame on, which is asked for."""
        self.assertEqual(self.legs.over_links, 1)
        self.alice.send(rtp(1), rtp(2, KEY_START), rtp(3))
        self.assertEqual(self.lifted(), [rtp(2, KEY_START), rtp(3)])
        self.assertIsInstance(self.alice.feedback[0], rtcp.Pli)

    def test_up(self):
        """What he publishes is let in, and nobody else's with it."""
        self.legs.publish(BOB, OTHER, AUDIO)
        self.legs.subscribe(ALICE, OTHER, self.world.now)
        good = rtp(1, ssrc=OTHER)
        self.from_link(self.bob, good, fake_rtcp(200, OTHER), rtp(1))
        self.assertEqual(self.alice.media, [good, fake_rtcp(200, OTHER)])
        self.assertEqual(self.legs.drops[Drop.WRONG_SOURCE], 1)

    def test_bothWays(self):
        """While he moves, what he sends is taken from both."""
        self.legs.publish(BOB, OTHER, AUDIO)
        self.legs.subscribe(ALICE, OTHER, self.world.now)
        self.bob.bind()
        self.bob.send(rtp(1, ssrc=OTHER))
        self.from_link(self.bob, rtp(2, ssrc=OTHER))
        self.bob.send(rtp(3, ssrc=OTHER))
        self.assertEqual(len(self.alice.media), 3)

    def test_switching(self):
        """Down goes one way or the other, without a gate between."""
        self.alice.send(rtp(1, KEY_START))
        self.bob.bind()
        self.alice.send(rtp(2))
        self.assertEqual(self.lifted(), [rtp(1, KEY_START), rtp(2)])
        self.legs.over_link(BOB, False, self.world.now)
        self.alice.send(rtp(3))
        self.assertEqual((self.lifted(), self.bob.media), ([], [rtp(3)]))
        self.legs.over_link(BOB, True, self.world.now)
        self.alice.send(rtp(4))
        self.assertEqual(self.lifted(), [rtp(4)])
        self.legs.over_link(BOB, True, self.world.now)

    def test_linkGone(self):
        """Without UDP and without a link nothing goes; then from a key frame on."""
        self.alice.send(rtp(1, KEY_START))
        self.legs.over_link(BOB, False, self.world.now)
        self.alice.send(rtp(2))
        self.legs.over_link(BOB, True, self.world.now)
        self.alice.send(rtp(3), rtp(4, KEY_START))
        self.assertEqual(self.lifted(), [rtp(1, KEY_START), rtp(4, KEY_START)])

    def test_feedback(self):
        """His RTCP counts, under his own SSRC alone."""
        own = self.bob.credentials.client_ssrc
        self.alice.send(rtp(1, KEY_START))
        self.alice.feedback.clear()
        self.world.now += 5
        self.from_link(self.bob, self.protect(self.bob, rtcp.Pli(own, SSRC)))
        self.assertEqual(len(self.alice.feedback), 1)
        forged = self.protect(self.alice, rtcp.Pli(0xC0 + ALICE, SSRC))
        self.from_link(self.bob, forged)
        self.assertEqual(self.legs.drops[Drop.RTCP_WRONG_SOURCE], 1)

    def test_requestsGoOverTheLink(self):
        """A publisher on his link is asked for key frames there."""
        self.legs.publish(BOB, OTHER, VIDEO)
        self.legs.subscribe(ALICE, OTHER, self.world.now)
        ((data, leg),) = self.legs.to_links()
        self.assertEqual(leg, BOB)
        (packet,) = rtcp.parse(self.bob.receiver.unprotect(data))
        self.assertEqual(packet.media_ssrc, OTHER)

    def test_leftOut(self):
        """Long after the change nothing is asked for again, on either side."""
        own = self.bob.credentials.client_ssrc
        self.alice.send(rtp(1, KEY_START), rtp(2))
        self.lifted()
        nack = rtcp.Nack(own, SSRC, (1, 2))
        self.from_link(self.bob, self.protect(self.bob, nack))
        self.assertEqual(len(self.lifted()), 2)
        self.world.now += 2
        self.alice.send(rtp(3))
        self.lifted()
        self.from_link(self.bob, self.protect(self.bob, nack))
        self.assertEqual(self.lifted(), [])
        self.assertEqual(self.legs.drops[Drop.LEFT_OUT], 2)
        self.legs.publish(BOB, OTHER, AUDIO)
        self.from_link(self.bob, rtp(1, ssrc=OTHER), rtp(9, ssrc=OTHER))
        self.world.wait(1.0)
        self.assertEqual(self.legs.to_links(), [])

    def test_gapOfTheChange(self):
        """What UDP lost just before the change is asked for over the link."""
        self.legs.over_link(BOB, False, self.world.now)
        self.bob.bind()
        self.legs.publish(BOB, OTHER, AUDIO)
        self.bob.send(rtp(1, ssrc=OTHER))
        self.legs.over_link(BOB, True, self.world.now)
        self.from_link(self.bob, rtp(4, ssrc=OTHER))
        self.world.wait(0.1)
        data = self.legs.to_links()[0][0]
        (nack,) = rtcp.parse(self.bob.receiver.unprotect(data))
        self.assertEqual(nack.sequences, (2, 3))

    def test_noise(self):
        """Anything else over a link is dropped."""
        self.from_link(self.bob, b"", b"\x04control", bytes(20), b"\x80", b"\x80\xc9")
        self.assertEqual(self.legs.drops[Drop.UNWANTED], 5)

    def test_nothingStays(self):
        """A leg that ends is over no link."""
        self.legs.close(BOB)
        self.assertEqual(self.legs.over_links, 0)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=100))
    def test_garbage(self, data):
        """Any bytes over a link are taken or counted."""
        self.legs.receive_from_link(BOB, data, self.world.now)


class ControlTests(SynchronousTestCase):
    """Control datagrams find their legs."""

    def test_from(self):
        """By the SSRC, from the bound address; whether they are, keys tell."""
        world = World()
        alice = world.peer(ALICE)
        world.peer(BOB, bound=False)
        data = bytes((4, 0, 0, 0)) + (0xC0 + ALICE).to_bytes(4, "big") + bytes(20)
        alice.send(data)
        ((leg, datagram),) = world.legs.control()
        self.assertEqual((leg, datagram.data), (ALICE, data))
        self.assertEqual(world.legs.control(), [])
        world.deliver(data, Path(("198.51.100.1", 1)))
        alice.send(bytes((4, 0, 0, 0)) + (0xC0 + BOB).to_bytes(4, "big") + bytes(20))
        alice.send(b"\x04")
        self.assertEqual(world.legs.control(), [])
        self.assertEqual(world.legs.drops[Drop.CONTROL_UNKNOWN], 3)
