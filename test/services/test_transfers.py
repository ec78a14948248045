"""Tests of `anychat.services.transfers`."""

from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.transfers.chunks import CHUNK, WINDOW
from anychat.transfers.pace import SMALLEST
from test.services.transfer_case import ANN, BEN, CAT, TransferCase
from test.transfers.bench import chunks_of, content_of


class RelayTests(TransferCase):
    """From one client to another."""

    def test_grant(self):
        """The sender may begin when the receiver has said where."""
        self.begin()
        self.assertEqual((self.came(ANN), self.came(BEN)), ([], []))
        self.take(0, restart=True)
        self.assertEqual(self.came(ANN), [(1, 0, WINDOW, True)])

    def test_relay(self):
        """Chunks come through as they are, and room is told in steps."""
        content = content_of(30 * CHUNK)
        self.begin(length=len(content))
        self.take(0, restart=True)
        self.came(ANN)
        chunks = list(chunks_of(content))
        for chunk in chunks[:18]:
            self.assertTrue(self.send(chunk))
        self.assertEqual(self.came(BEN), [(1, chunk) for chunk in chunks[:18]])
        self.assertTrue(self.take(CHUNK))
        self.assertEqual(self.came(ANN), [])
        self.assertTrue(self.take(6 * CHUNK))
        self.assertEqual(self.came(ANN), [(1, 6 * CHUNK, 24 * CHUNK, False)])
        self.take(12 * CHUNK)
        self.assertEqual(self.came(ANN), [(1, 12 * CHUNK, 30 * CHUNK, False)])

    def test_tooMuch(self):
        """Who sends more than was granted breaks the protocol."""
        self.begin()
        self.take(0, restart=True)
        content = content_of(19 * CHUNK)
        chunks = list(chunks_of(content))
        for chunk in chunks[:18]:
            self.send(chunk)
        self.assertRaises(PeerError, self.send, chunks[18])

    def test_crumbs(self):
        """Only the last chunk may be tiny: a window of crumbs fills the memory."""
        length = 2 * SMALLEST + 1
        self.begin(length=length)
        self.take(0, restart=True)
        content = content_of(length)
        first, second, last = chunks_of(content, SMALLEST)
        self.assertTrue(self.send(first))
        tiny = next(chunks_of(content, SMALLEST - 1, SMALLEST))
        self.assertRaises(PeerError, self.send, tiny)
        self.assertTrue(self.send(second))
        self.assertTrue(self.send(last))

    def test_crumbsTaken(self):
        """Who says byte by byte what he took pays for each message."""
        content = content_of(3 * SMALLEST)
        self.begin(length=len(content))
        self.take(0, restart=True)
        for chunk in chunks_of(content, SMALLEST):
            self.send(chunk)
        self.assertFalse(self.take(1))
        self.assertFalse(self.take(2))
        self.assertTrue(self.take(2 + SMALLEST))
        self.assertTrue(self.take(3 * SMALLEST))

    def test_outOfOrder(self):
        """A chunk out of order, or before a grant, goes nowhere and counts."""
        self.begin()
        first, second = chunks_of(content_of(2 * CHUNK))
        self.assertFalse(self.send(first))
        self.take(0, restart=True)
        self.assertFalse(self.send(second))
        self.assertTrue(self.send(first))
        self.assertFalse(self.send(first))
        self.assertEqual(self.came(BEN), [(1, first)])

    def test_strangers(self):
        """Nobody sends or takes chunks of others' transfers."""
        self.begin()
        (chunk,) = chunks_of(b"x")
        self.assertRaises(PeerError, self.send, chunk, session=CAT)
        self.assertRaises(PeerError, self.send, chunk, session=BEN)
        self.assertRaises(PeerError, self.take, 0, session=ANN)
        self.assertFalse(self.send(chunk, task_id=9))
        self.assertFalse(self.take(0, task_id=9))

    def test_wrongOffsets(self):
        """A receiver cannot have what was not sent, nor have less and less."""
        self.begin(length=10)
        self.assertRaises(PeerError, self.take, 11, restart=True)
        self.assertFalse(self.take(0))
        self.take(0, restart=True)
        self.assertRaises(PeerError, self.take, 5)
        (chunk,) = chunks_of(content_of(10))
        self.send(chunk)
        self.assertTrue(self.take(10))
        self.assertFalse(self.take(10))
        self.assertFalse(self.take(3))

    def test_restarts(self):
        """A receiver may begin again, but not for ever on one link."""
        self.begin()
        for _ in range(8):
            self.assertFalse(self.take(0, restart=True))
        self.assertRaises(PeerError, self.take, 0, restart=True)
        self.lose(BEN)
        self.resume(BEN)
        self.take(0, restart=True)

    def test_stop(self):
        """After its end nothing of a transfer goes anywhere."""
        self.begin()
        self.take(0, restart=True)
        self.links.links[BEN].behind = True
        chunk = next(chunks_of(content_of(CHUNK)))
        self.send(chunk)
        self.service.stop(1, ResultCode.CANCEL)
        self.service.stop(1, ResultCode.CANCEL)
        self.assertFalse(self.send(chunk))
        self.links.links[BEN].behind = False
        self.links.eased[0](BEN)
        self.assertEqual(self.came(BEN), [])
        self.assertNothingLeft()

    def test_senderLost(self):
        """A sender goes on behind what has come of it."""
        self.begin()
        self.take(0, restart=True)
        self.came(ANN)
        for chunk in list(chunks_of(content_of(9 * CHUNK))):
            self.send(chunk)
        self.lose(ANN)
        self.take(8 * CHUNK)
        self.resume(ANN)
        self.assertEqual(self.came(ANN), [(1, 9 * CHUNK, 26 * CHUNK, True)])

    def test_receiverLost(self):
        """A receiver says where it goes on, and the sender begins there."""
        self.begin()
        self.take(0, restart=True)
        chunks = list(chunks_of(content_of(20 * CHUNK)))
        for chunk in chunks[:9]:
            self.send(chunk)
        self.came(ANN)
        self.lose(BEN)
        self.assertFalse(self.send(chunks[9]))
        self.resume(BEN)
        self.assertEqual(self.came(ANN), [])
        self.take(4 * CHUNK, restart=True)
        self.assertEqual(self.came(ANN), [(1, 4 * CHUNK, 22 * CHUNK, True)])
        self.assertFalse(self.send(chunks[10]))
        self.assertTrue(self.send(chunks[4]))
        self.assertEqual(self.came(BEN), [(1, chunks[4])])

    def test_bothLost(self):
        """Whoever comes back first waits for the other."""
        for first, second in ((ANN, BEN), (BEN, ANN)):
            self.begin()
            self.take(0, restart=True)
            self.lose(ANN)
            self.lose(BEN)
            for session in (first, second):
                self.resume(session)
                if session == BEN:
                    self.take(0, restart=True)
            self.assertEqual(self.came(ANN), [(1, 0, WINDOW, True)])
            self.service.stop(1, ResultCode.CANCEL)
            self.assertNothingLeft()


class ServiceTests(TransferCase):
    """Start and stop."""

    def test_stop(self):
        """Nothing is left over."""
        self.service.startService()
        self.begin()
        self.take(0, restart=True)
        self.begin(2, ANN, None)
        self.begin(3, None, BEN)
        self.service.feed(3, 0, b"x")
        self.service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.store.used, 0)
        self.assertEqual(self.service.statistics()["tasks"], 0)
