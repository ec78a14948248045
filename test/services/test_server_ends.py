"""Tests of `anychat.services.server_ends` and the ends it opens."""

from anychat.codes import ResultCode, TransferKind
from anychat.core.commands import BufferPortion, TransferFinished
from anychat.services.transfer_windows import PER_SENDER
from anychat.transfers.chunks import CHUNK, WINDOW
from test.services.transfer_case import ANN, BEN, StoreCase, TransferCase
from test.transfers.bench import chunks_of, content_of


class UploadTests(StoreCase):
    """What clients send to the server."""

    def test_grants(self):
        """The sender may go on as it is written."""
        content = content_of(40 * CHUNK)
        self.upload(content)
        limits = [grant.limit for grant in self.came(ANN)]
        self.assertEqual(limits[0], WINDOW)
        self.assertEqual(limits[-1], len(content))
        self.assertEqual(limits, sorted(limits))

    def test_senderLost(self):
        """After a lost link the sender goes on behind what was taken."""
        content = content_of(4 * CHUNK)
        self.begin(1, ANN, None, length=len(content))
        chunks = list(chunks_of(content))
        self.send(chunks[0])
        self.lose(ANN)
        self.resume(ANN)
        self.assertEqual(self.came(ANN), [(1, CHUNK, 4 * CHUNK, True)])
        for chunk in chunks[1:]:
            self.send(chunk)
        self.assertEqual(self.commands[-1].code, 0)

    def test_aThousand(self):
        """Of a thousand uploads sixteen files are open at a time."""
        for task_id in range(1, 1001):
            self.begin(task_id, ANN, None, length=CHUNK)
        self.assertEqual(len(self.names()), PER_SENDER)
        (chunk,) = chunks_of(content_of(CHUNK))
        for task_id in range(1, 1001):
            self.send(chunk, task_id=task_id)
            self.service.stop(task_id, ResultCode.SUCCESS)
        self.assertEqual(len(self.names()), 1000)

    def test_buffer(self):
        """A buffer is handed over portion by portion, and stored nowhere."""
        content = content_of(2 * CHUNK + 9)
        self.upload(content, kind=TransferKind.BUFFER)
        got = b""
        while isinstance(self.commands[-1], BufferPortion):
            self.assertEqual(self.commands[-1].offset, len(got))
            got += self.commands.pop().data
            self.assertEqual(self.commands, [])
            self.service.portion_offered(1, ResultCode.SUCCESS)
            self.clock.advance(0.1)
        self.assertEqual(self.commands, [TransferFinished(1, ResultCode.SUCCESS)])
        self.assertEqual(got, content)
        self.assertFalse(self.directory.exists())

    def test_bufferHasToWait(self):
        """What the business server has no room for is offered again."""
        portion = self.upload(b"abc", kind=TransferKind.BUFFER)
        for _ in range(3):
            self.assertEqual(self.commands, [portion])
            del self.commands[:]
            self.service.portion_offered(1, ResultCode.NOENOUGHRESOURCE)
            self.assertEqual(self.commands, [])
            self.clock.advance(1.0)
        self.service.portion_offered(1, ResultCode.NOENOUGHRESOURCE)
        self.service.stop(1, ResultCode.CANCEL)
        self.service.portion_offered(1, ResultCode.SUCCESS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bufferIsNotTaken(self):
        """A business server that never has room is the sender's 23."""
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.upload(b"abc", kind=TransferKind.BUFFER)
        while isinstance(self.commands[-1], BufferPortion):
            self.service.portion_offered(1, ResultCode.NOENOUGHRESOURCE)
            self.clock.pump([0.1] * 10)
        self.assertEqual(
            self.commands[-1], TransferFinished(1, ResultCode.NOENOUGHRESOURCE)
        )

    def test_nobodyTakesTheBuffer(self):
        """Where the business server has gone meanwhile the sender hears of it."""
        self.upload(b"abc", kind=TransferKind.BUFFER)
        self.service.portion_offered(1, ResultCode.SERVERSDK_FAIL)
        self.assertEqual(
            self.commands[-1], TransferFinished(1, ResultCode.SERVERSDK_FAIL)
        )


class FedTests(TransferCase):
    """What business servers send."""

    def feed(self, content, *, size=60_000, kind=TransferKind.FILE):
        """Begin it, and feed all of it."""
        self.begin(1, None, BEN, length=len(content), kind=kind)
        for offset in range(0, len(content), size):
            self.service.feed(1, offset, content[offset : offset + size])

    def test_fed(self):
        """The receiver gets it, chunk by chunk, as it takes them."""
        content = content_of(40 * CHUNK + 5)
        for kind in TransferKind:
            self.feed(content, kind=kind)
            self.take(0, restart=True)
            got = []
            while True:
                portions = [chunk for _, chunk in self.came(BEN)]
                if not portions:
                    break
                self.assertLessEqual(len(portions), 18)
                got += portions
                self.take(got[-1].end)
            self.assertEqual(b"".join(chunk.data for chunk in got), content)
            self.assertEqual(got[-1].digest, list(chunks_of(content))[-1].digest)
            self.service.stop(1, ResultCode.SUCCESS)
        self.assertEqual(self.store.used, 0)

    def test_whileItComes(self):
        """It need not be whole to be sent on."""
        content = content_of(3 * CHUNK)
        self.begin(1, None, BEN, length=len(content))
        self.take(0, restart=True)
        self.service.feed(1, 0, content[:60_000])
        self.assertEqual([chunk.end for _, chunk in self.came(BEN)], [CHUNK])
        self.service.feed(1, 60_000, content[60_000:])
        self.assertEqual(
            [chunk.end for _, chunk in self.came(BEN)], [2 * CHUNK, 3 * CHUNK]
        )

    def test_wrongOffset(self):
        """A portion that does not fit ends the task."""
        self.begin(1, None, BEN, length=100)
        self.service.feed(1, 5, b"x")
        self.assertEqual(self.commands, [TransferFinished(1, ResultCode(713))])

    def test_fullDisk(self):
        """Where it cannot be kept meanwhile, it ends with 715."""
        self.directory.write_text("a file")
        self.feed(b"abc")
        self.assertEqual(self.commands, [TransferFinished(1, ResultCode(715))])

    def test_quota(self):
        """What all of them may store at a time holds for business servers: 43."""
        self.make_service(total_quota=100)
        self.begin(1, None, BEN, length=60)
        self.begin(2, None, BEN, length=41)
        self.service.feed(2, 0, b"x")
        self.assertEqual(self.commands, [TransferFinished(2, ResultCode(43))])
        self.service.stop(2, ResultCode(43))
        self.begin(3, None, BEN, length=41, kind=TransferKind.BUFFER)
        self.service.stop(1, ResultCode.CANCEL)
        self.begin(4, None, BEN, length=100)
        self.assertEqual(len(self.commands), 1)

    def test_lostReceiver(self):
        """A receiver that comes back gets the rest."""
        content = content_of(4 * CHUNK)
        self.feed(content)
        self.take(0, restart=True)
        self.came(BEN)
        self.lose(BEN)
        self.resume(BEN)
        self.take(2 * CHUNK, restart=True)
        self.assertEqual(
            [chunk.end for _, chunk in self.came(BEN)], [3 * CHUNK, 4 * CHUNK]
        )

    def test_notFed(self):
        """What is over, or is a client's, is not fed."""
        self.service.feed(1, 0, b"x")
        self.begin()
        self.service.feed(1, 0, b"x")
        self.assertEqual(self.commands, [])
