"""Tests of `anychat.services.store`, in the service that uses it."""

import os
from pathlib import Path

from anychat.codes import ResultCode, TransferKind
from anychat.core.commands import TransferFinished
from anychat.transfers.chunks import CHUNK
from test.services.transfer_case import ANN, BEN, StoreCase
from test.transfers.bench import chunks_of, content_of


class StoreTests(StoreCase):
    """What becomes of files for the server."""

    def test_file(self):
        """It is stored under its user, and the core is told where."""
        content = content_of(3 * CHUNK + 9)
        finished = self.upload(content)
        path = self.directory / "1" / "a.txt"
        self.assertEqual(finished, TransferFinished(1, ResultCode(0), str(path)))
        self.assertEqual(path.read_bytes(), content)

    def test_names(self):
        """No name leads out of the directory."""
        for number, name in enumerate(("../../etc/passwd", "/etc/shadow", "..", ""), 1):
            finished = self.upload(b"x", number, name=name)
            self.assertEqual(Path(finished.path).parent, self.directory / "1")
        self.assertEqual(self.names(), ["file", "file-2", "passwd", "shadow"])

    def test_fetch(self):
        """A business server gets it, by its number, in portions."""
        content = content_of(100_000)
        self.upload(content, 5)
        self.service.read(1, 5, 0, 200_000)
        self.service.read(2, 5, 60_000, 50_000)
        self.service.read(3, 5, 1 << 62, 1)
        self.service.read(4, 6, 0, 1)
        (_, first), (_, second), (_, third), (_, none) = self.answers
        self.assertEqual(first.data + second.data, content)
        self.assertEqual({first.length, second.length, third.length}, {100_000})
        self.assertEqual((third.data, none.code), (b"", 716))

    def test_fetchWhatIsGone(self):
        """What was taken away is there no more: 716."""
        finished = self.upload(b"abc")
        os.unlink(finished.path)
        self.service.read(1, 1, 0, 10)
        self.assertEqual(self.answers[0][1].code, 716)

    def test_quotas(self):
        """A user's files and all files have bounds: 43."""
        self.make_service(user_quota=100, total_quota=150)
        self.assertEqual(self.upload(bytes(60)).code, 0)
        self.assertEqual(self.upload(bytes(41), 2).code, 43)
        self.assertEqual(self.upload(bytes(40), 3).code, 0)
        self.assertEqual(self.upload(bytes(51), 4, session=BEN).code, 43)
        self.assertEqual(self.upload(bytes(50), 5, session=BEN).code, 0)
        self.assertEqual(self.names(BEN), ["a.txt"])

    def test_quotaOfWhatComes(self):
        """What is still coming counts, and counts no more when it is given up."""
        self.make_service(user_quota=100)
        self.begin(1, ANN, None, length=90)
        self.assertEqual(self.upload(bytes(11), 2).code, 43)
        self.service.stop(1, ResultCode.CANCEL)
        self.service.stop(2, ResultCode.DISKSPACELIMITED)
        self.assertEqual(self.upload(bytes(100), 3).code, 0)

    def test_quotaOfOldFiles(self):
        """Files of earlier runs count."""
        self.upload(bytes(60))
        self.make_service(user_quota=100)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.assertEqual(self.upload(bytes(41), 2).code, 43)
        self.assertEqual(self.upload(bytes(40), 3).code, 0)

    def test_quotaOfUnfinished(self):
        """What is left unfinished counts at once; going on with it is not refused."""
        content = content_of(3 * CHUNK)
        self.make_service(user_quota=len(content))
        self.begin(1, ANN, None, length=len(content))
        chunks = list(chunks_of(content))
        self.send(chunks[0])
        self.send(chunks[1])
        self.service.stop(1, ResultCode.TRANSFILE_FAILED)
        self.assertEqual(self.store.used, 2 * CHUNK)
        self.came(ANN)
        self.assertEqual(self.upload(bytes(CHUNK + 1), 2).code, 43)
        self.assertEqual(self.came(ANN), [])
        for _ in range(2):
            self.begin(1, ANN, None, length=len(content))
            self.assertEqual(self.came(ANN), [(1, 2 * CHUNK, 3 * CHUNK, True)])
            self.service.stop(1, ResultCode.TRANSFILE_FAILED)
            self.store.looked(self.store.look()())
            self.assertEqual(self.store.used, 2 * CHUNK)

    def test_quotaWhileLooking(self):
        """What came since the last look counts while the next one takes its time."""
        self.make_service(user_quota=100)
        self.upload(bytes(60))
        look = self.store.look()
        self.assertEqual(self.upload(bytes(41), 2).code, 43)
        self.assertEqual(self.upload(bytes(30), 3).code, 0)
        self.store.looked(look())
        self.assertEqual(self.upload(bytes(11), 4).code, 43)
        self.store.looked(self.store.look()())
        self.assertEqual(self.store.used, 90)

    def test_lookWhileFilesGo(self):
        """A file that somebody takes away meanwhile costs the look nothing else."""
        for number in (1, 2, 3):
            self.upload(bytes(10), number)
        scandir = os.scandir

        def scan(path):
            entries = list(scandir(path))
            if entries and entries[0].is_file():
                os.unlink(entries[0].path)
            return _Entries(entries)

        self.patch(os, "scandir", scan)
        self.store.looked(self.store.look()())
        self.assertEqual(self.store.used, 20)

    def test_vanished(self):
        """What a sender leaves unfinished is kept, and gone on with."""
        content = content_of(3 * CHUNK)
        self.begin(1, ANN, None, length=len(content))
        chunks = list(chunks_of(content))
        self.send(chunks[0])
        self.service.stop(1, ResultCode.TRANSFILE_FAILED)
        self.assertEqual(len(self.names()), 1)
        self.assertTrue(self.names()[0].endswith(".part"))
        self.came(ANN)
        self.begin(1, ANN, None, length=len(content))
        self.assertEqual(self.came(ANN), [(1, CHUNK, 3 * CHUNK, True)])
        self.send(chunks[1])
        self.send(chunks[2])
        self.assertEqual(self.names(), ["a.txt"])

    def test_cancelled(self):
        """What is cancelled leaves nothing."""
        self.begin(1, ANN, None, length=2 * CHUNK)
        self.send(next(chunks_of(content_of(2 * CHUNK))))
        self.service.stop(1, ResultCode.CANCEL)
        self.assertEqual(self.names(), [])

    def test_fullDisk(self):
        """A full disk is 715 to the sender; no .part stays, others go on."""
        self.patch(os, "writev", _full)
        self.assertEqual(self.upload(b"abc").code, 715)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.upload(b"x", 2, name="b").code, 715)
        self.assertEqual(self.upload(b"x", 3, kind=TransferKind.BUFFER).data, b"x")

    def test_noDirectory(self):
        """Where nothing can be stored it is 710."""
        self.directory.write_text("a file")
        self.begin(1, ANN, None, length=3)
        self.assertEqual(self.commands[-1].code, 710)

    def test_altered(self):
        """Content that is not what its digests say is not kept: 715."""
        self.begin(1, ANN, None, length=6)
        (chunk,) = chunks_of(b"abcdef")
        self.send(chunk._replace(data=b"abcdeF"))
        self.assertEqual(self.commands[-1].code, 715)
        self.assertEqual(self.names(), [])

    def test_expiry(self):
        """Old unfinished files go, and later the whole ones."""
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.clock.advance(1_000_000.0)
        self.upload(b"abc")
        self.begin(2, ANN, None, length=2 * CHUNK)
        self.send(next(chunks_of(content_of(2 * CHUNK))), task_id=2)
        self.service.stop(2, ResultCode.TRANSFILE_FAILED)
        for name in self.names():
            os.utime(self.directory / "1" / name, (1_000_000, 1_000_000))
        (self.directory / "other").mkdir()
        self.clock.advance(3000.0)
        self.assertEqual(len(self.names()), 2)
        self.clock.advance(700.0)
        self.assertEqual(self.names(), ["a.txt"])
        self.clock.advance(4000.0)
        self.assertEqual(sorted(os.listdir(self.directory)), ["other"])

    def test_expiryOfWhatComes(self):
        """What is just coming is not old, however slowly it comes."""
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.begin(1, ANN, None, length=9)
        (name,) = self.names()
        os.utime(self.directory / "1" / name, (-9_000_000, -9_000_000))
        self.clock.advance(60.0)
        self.assertEqual(self.names(), [name])

    def test_forEver(self):
        """With 0 whole files stay."""
        self.make_service(file_time=0.0)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.upload(b"abc")
        os.utime(self.directory / "1" / "a.txt", (-9e8, -9e8))
        self.clock.advance(60.0)
        self.assertEqual(self.names(), ["a.txt"])


class _Entries(list):
    """What `os.scandir` gives."""

    def __enter__(self):
        return iter(self)

    def __exit__(self, *_):
        pass


def _full(descriptor, pieces):
    raise OSError(28, "No space left on device")
