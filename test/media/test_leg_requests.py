"""What publishers are asked for: key frames, lost packets."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media import rtcp
from anychat.media.binding import SILENCE
from test.media.legs import ALICE, AUDIO, CAROL, OTHER, VIDEO, LegsTestsMixin
from test.media.test_routes import KEY_START, SSRC, rtp


class PublisherRequestsTests(LegsTestsMixin, SynchronousTestCase):
    """`PublisherRequests`, by way of `Legs`."""

    def test_freshWatcher(self):
        """A new video watcher has the publisher asked at once, audio's has not."""
        self.publish(AUDIO, OTHER)
        self.assertEqual(self.plis(), 0)
        self.publish(VIDEO)
        self.assertEqual(self.plis(), 1)
        self.assertEqual(self.legs.requests.key_frames_asked, 1)

    def test_pliIsPaced(self):
        """Receivers' requests are passed on, one for all in half a second."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        for _ in range(5):
            self.bob.pli()
        self.assertEqual(self.plis(), 1)
        self.world.wait(0.6)
        self.assertEqual(self.plis(), 2)
        self.alice.send(rtp(2, KEY_START))
        self.world.wait(10)
        self.assertEqual(self.plis(), 2)

    def test_pliWhilePublisherIsAway(self):
        """Nothing is sent, and nothing left to wake for, until it is back."""
        self.publish()
        self.alice.send(rtp(1, KEY_START))
        self.world.wait(SILENCE - 1)
        self.bob.bind()
        self.world.wait(2)
        self.assertIsNone(self.legs.bindings.path(ALICE))
        self.bob.pli()
        self.world.wait(10)
        self.assertEqual(self.plis(), 1)
        carol = self.world.peer(CAROL)
        self.subscribe(CAROL)
        self.alice.bind()
        self.assertEqual(self.plis(), 2)
        self.alice.send(rtp(2, KEY_START))
        self.assertEqual(carol.media, [rtp(2, KEY_START)])

    def test_uplinkLoss(self):
        """A gap on the way up is asked for; its repair goes to all."""
        self.publish(AUDIO)
        self.alice.send(rtp(1), rtp(4))
        self.world.wait(0.03)
        own = self.alice.credentials.server_ssrc
        self.assertEqual(self.alice.feedback, [rtcp.Nack(own, SSRC, (2, 3))])
        self.alice.send(rtp(2), rtp(3))
        self.world.wait(5)
        self.assertEqual(len(self.alice.feedback), 1)
        self.assertEqual(self.bob.media, [rtp(1), rtp(4), rtp(2), rtp(3)])
        self.assertEqual(self.legs.requests.packets_asked, 2)
