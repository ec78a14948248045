"""What legs say of what they receive: retransmission, reports, forgeries."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media import rtcp
from anychat.media.counters import Drop
from anychat.media.leg_state import FEEDBACK, RETRANSMISSIONS
from anychat.media.srtp import SrtcpSender
from test.media.legs import ALICE, AUDIO, BOB, CAROL, OTHER, VIDEO, LegsTestsMixin
from test.media.test_routes import KEY_START, SSRC, rtp
from test.media.test_routes import rtcp as fake_rtcp


class ReceiverFeedbackTests(LegsTestsMixin, SynchronousTestCase):
    """`ReceiverFeedback`, by way of `Legs`."""

    def test_nack(self):
        """The receiver gets what it asks for, the others do not."""
        carol = self.world.peer(CAROL)
        self.publish(AUDIO)
        self.subscribe(CAROL)
        self.alice.send(*(rtp(sequence) for sequence in range(5)))
        self.bob.nack(1, 3, 77)
        self.assertEqual(self.bob.media[5:], [rtp(1), rtp(3)])
        self.assertEqual(len(carol.media), 5)

    def test_nackIsLimited(self):
        """A receiver cannot have everything again and again."""
        self.publish(AUDIO)
        self.alice.send(*(rtp(sequence) for sequence in range(100)))
        for _ in range(30):
            self.bob.nack(*range(100))
        again = len(self.bob.media) - 100
        self.assertEqual(again, RETRANSMISSIONS.burst)
        self.assertEqual(self.drops(), {Drop.RETRANSMIT_RATE: 3000 - again})

    def test_nackOfWhatTheServerLacks(self):
        """It is not asked of the publisher on a receiver's word."""
        self.publish(AUDIO)
        self.alice.send(rtp(1))
        self.bob.nack(2, 3)
        self.world.wait(5)
        self.assertEqual(self.alice.feedback, [])

    def test_pliForAudio(self):
        """There is nothing to ask for."""
        self.publish(AUDIO)
        self.bob.pli()
        self.assertEqual(self.plis(), 0)
        self.assertEqual(self.drops(), {})

    def test_receiverReport(self):
        """The latest figures of each subscription are kept, no others."""
        self.publish()
        own = self.bob.credentials.client_ssrc
        blocks = [
            rtcp.ReportBlock(SSRC, 64, 5, 1000, 90),
            rtcp.ReportBlock(OTHER, 64, 5, 1000, 90),
        ]
        self.bob.report(rtcp.ReceiverReport(own, tuple(blocks)))
        (reception,) = self.legs.receptions(BOB).values()
        self.assertEqual(
            (reception.fraction_lost, reception.lost, reception.jitter),
            (0.25, 5, 90),
        )
        self.assertEqual(reception.when, self.world.now)
        self.legs.unsubscribe(BOB, SSRC)
        self.assertEqual(self.legs.receptions(BOB), {})

    def test_forgedRtcp(self):
        """Noise, a replay and another leg's key are refused."""
        self.publish(AUDIO)
        self.alice.send(rtp(1))
        own = self.bob.credentials.client_ssrc
        nack = rtcp.build([rtcp.Nack(own, SSRC, (1,))])
        genuine = self.bob.sender.protect(nack)
        credentials = self.alice.credentials
        alien = SrtcpSender(credentials.rtcp_key, credentials.rtcp_salt, own)
        self.bob.send(genuine, genuine, fake_rtcp(205, own), alien.protect(nack))
        self.assertEqual(len(self.bob.media), 2)
        self.assertEqual(self.drops(), {Drop.FORGED_RTCP: 3})

    def test_feedbackInAnothersName(self):
        """Inside one's own RTCP stands one's own SSRC."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        bob = self.bob.credentials.client_ssrc
        alice = self.alice.credentials.client_ssrc
        self.bob.report(
            rtcp.ReceiverReport(bob),
            rtcp.Nack(alice, SSRC, (1,)),
            rtcp.Pli(alice, SSRC),
            rtcp.ReceiverReport(alice, (rtcp.ReportBlock(SSRC, 1, 1, 1, 1),)),
        )
        self.world.wait(1)
        self.assertEqual(len(self.bob.media), 1)
        self.assertEqual(self.legs.receptions(BOB), {})
        self.assertEqual(self.plis(), 1)
        self.assertEqual(self.drops(), {Drop.FORGED_RTCP: 3})

    def test_feedbackAboutOthersStreams(self):
        """Who does not receive a stream has no say in it."""
        self.legs.publish(ALICE, SSRC, VIDEO)
        self.alice.send(rtp(1, KEY_START))
        self.bob.nack(1)
        self.bob.pli()
        self.assertEqual(self.bob.media + self.alice.feedback, [])
        self.assertEqual(self.drops(), {Drop.NOT_SUBSCRIBED: 2})

    def test_malformedRtcp(self):
        """Well encrypted nonsense is nonsense."""
        own = self.bob.credentials.client_ssrc
        compound = bytes((0x80, 205, 0, 9)) + own.to_bytes(4, "big") + bytes(4)
        self.bob.send(self.bob.sender.protect(compound))
        self.assertEqual(self.drops(), {Drop.MALFORMED_RTCP: 1})

    def test_ignoredRtcp(self):
        """What a leg may send and nobody needs is no offence."""
        own = self.bob.credentials.client_ssrc
        self.bob.report(
            rtcp.SenderReport(own, 0, 0, 0, 0),
            rtcp.SourceDescription(own, "bob"),
            rtcp.Bye((own,)),
        )
        self.assertEqual(self.drops(), {})

    def test_rtcpIsLimited(self):
        """A leg's flood is cut; a forger cannot use up its share."""
        own = self.bob.credentials.client_ssrc
        for _ in range(1000):
            self.bob.send(fake_rtcp(201, own))
        for _ in range(1000):
            self.bob.report(rtcp.ReceiverReport(own))
        self.assertEqual(
            self.drops(),
            {Drop.FORGED_RTCP: 1000, Drop.RTCP_RATE: 1000 - FEEDBACK.burst},
        )
