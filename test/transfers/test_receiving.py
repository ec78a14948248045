"""Tests of `anychat.transfers.receiving` and `anychat.transfers.files`."""

import errno
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.chunks import CHUNK, Chunk
from anychat.transfers.files import BufferTarget, FileTarget
from anychat.transfers.receiving import Receiving
from test.transfers.bench import Threads, at_once, chunks_of, content_of


class Inlet:
    """Notes what is reported."""

    def __init__(self):
        self.offsets = []
        self.results = []
        self.failures = []

    def taken(self, offset, *, restart):
        """Offset, with a star where it is a restart."""
        self.offsets.append((offset, "*") if restart else offset)

    def received(self, result):
        """Keep it."""
        self.results.append(result)

    def receiving_failed(self, code):
        """Keep it."""
        self.failures.append(int(code))


class FullDisk(BufferTarget):
    """A target with room for so many bytes."""

    def __init__(self, room, error=errno.ENOSPC):
        super().__init__()
        self.room = room
        self.error = error
        self.ended = []

    def write(self, pieces):
        """Fail beyond the room."""
        super().write(pieces)
        if len(self._data) > self.room:
            raise OSError(self.error, os.strerror(self.error))

    def close(self):
        """Note it."""
        self.ended.append("closed")

    def discard(self):
        """Note it."""
        self.ended.append("discarded")


class ReceivingCase(SynchronousTestCase):
    """Makes receiving ends."""

    def receive(self, content, target=None, *, threads=at_once):
        """A receiving end that has begun."""
        self.inlet = Inlet()
        receiving = Receiving(
            target if target is not None else BufferTarget(),
            len(content),
            self.inlet,
            threads,
        )
        receiving.start()
        return receiving


class ReceivingTests(ReceivingCase):
    """What becomes of chunks."""

    def test_whole(self):
        """Content arrives as it was."""
        content = content_of(2 * CHUNK + 5)
        receiving = self.receive(content)
        self.assertEqual(self.inlet.offsets, [(0, "*")])
        for chunk in chunks_of(content):
            self.assertTrue(receiving.take(chunk))
        self.assertEqual(self.inlet.results, [content])
        self.assertEqual(self.inlet.offsets, [(0, "*"), CHUNK, 2 * CHUNK])

    def test_together(self):
        """Chunks that come while others are written are written together."""
        threads, content = Threads(), content_of(9 * CHUNK)
        receiving = self.receive(content, threads=threads)
        threads.run()
        for chunk in chunks_of(content):
            self.assertTrue(receiving.take(chunk))
        threads.run()
        self.assertEqual(self.inlet.offsets, [(0, "*"), CHUNK])
        self.assertEqual(self.inlet.results, [content])

    def test_outOfOrder(self):
        """Only the chunk that is waited for is taken."""
        content = content_of(4 * CHUNK)
        first, second, third, _ = chunks_of(content)
        receiving = self.receive(content)
        self.assertFalse(receiving.take(second))
        self.assertTrue(receiving.take(first))
        self.assertFalse(receiving.take(first))
        self.assertFalse(receiving.take(third))
        self.assertEqual(self.inlet.offsets[-1], CHUNK)

    def test_tooMuch(self):
        """What goes beyond the length is not taken."""
        receiving = self.receive(b"abc")
        self.assertFalse(receiving.take(Chunk(0, bytes(32), b"abcd")))

    def test_altered(self):
        """A chunk that is not the continuation ends it with 715."""
        content = content_of(2 * CHUNK)
        target = FullDisk(1 << 30)
        receiving = self.receive(content, target)
        first, second = chunks_of(content)
        receiving.take(first)
        receiving.take(second._replace(data=bytes(CHUNK)))
        self.assertEqual((self.inlet.failures, self.inlet.results), ([715], []))
        self.assertEqual(target.ended, ["discarded"])

    def test_fullDisk(self):
        """A full disk is 715, and nothing is kept."""
        content = content_of(3 * CHUNK)
        for error in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            target = FullDisk(CHUNK, error)
            receiving = self.receive(content, target)
            for chunk in chunks_of(content):
                receiving.take(chunk)
            self.assertEqual((self.inlet.failures, self.inlet.results), ([715], []))
            self.assertEqual(target.ended, ["discarded"])

    def test_again(self):
        """After a lost link it says where to go on."""
        threads, content = Threads(), content_of(4 * CHUNK)
        receiving = self.receive(content, threads=threads)
        receiving.again()
        threads.run()
        chunks = list(chunks_of(content))
        receiving.take(chunks[0])
        receiving.take(chunks[1])
        receiving.again()
        self.assertEqual(self.inlet.offsets, [(0, "*"), (2 * CHUNK, "*")])
        threads.run()
        receiving.take(chunks[2])
        receiving.take(chunks[3])
        threads.run()
        self.assertEqual(self.inlet.results, [content])
        receiving.again()
        self.assertEqual(len(self.inlet.offsets), 5)

    def test_stop(self):
        """Whatever it is just doing, it ends as it is told and says no more."""
        for steps in range(4):
            for keep, ended in ((True, "closed"), (False, "discarded")):
                threads, target = Threads(), FullDisk(1 << 30)
                content = content_of(3 * CHUNK)
                receiving = self.receive(content, target, threads=threads)
                for chunk in list(chunks_of(content))[:2]:
                    if steps:
                        threads.run()
                    receiving.take(chunk)
                for _ in range(min(steps - 1, len(threads))):
                    threads.step()
                before = list(self.inlet.offsets)
                receiving.stop(keep=keep)
                receiving.stop(keep=not keep)
                threads.run()
                self.assertEqual(target.ended, [ended])
                self.assertEqual(self.inlet.offsets, before)
                self.assertEqual(self.inlet.failures, [])

    def test_stopWhileFinishing(self):
        """What nobody hears of any more is not told of, and let go."""
        for keep, ended in (False, ["discarded"]), (True, ["closed"]):
            threads, target = Threads(), FullDisk(9)
            receiving = self.receive(b"abc", target, threads=threads)
            threads.run()
            receiving.take(next(chunks_of(b"abc")))
            threads.step()
            receiving.stop(keep=keep)
            threads.run()
            self.assertEqual((self.inlet.results, self.inlet.failures), ([], []))
            self.assertEqual(target.ended, ended)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
    def test_anySizes(self, sizes):
        """A sender may cut content as it likes."""
        content = content_of(sum(sizes))
        receiving, offset = self.receive(content), 0
        for size in sizes:
            (chunk,) = chunks_of(content[: offset + size], size, offset)
            self.assertTrue(receiving.take(chunk))
            offset += size
        self.assertEqual(self.inlet.results, [content])


class FileTargetTests(ReceivingCase):
    """Content that becomes a file."""

    def setUp(self):
        self.directory = Path(self.mktemp())

    def target(self, content, name="a.txt", task="7-guid", **more):
        """A target in the directory."""
        return FileTarget(self.directory, task, name, len(content), **more)

    def files(self):
        """Names in the directory."""
        return sorted(os.listdir(self.directory))

    def arrive(self, content, **more):
        """Let content arrive whole; its path."""
        receiving = self.receive(content, self.target(content, **more))
        for chunk in chunks_of(content):
            receiving.take(chunk)
        return self.inlet.results[0]

    def test_file(self):
        """It is a .part until it is whole; nobody else may read it."""
        content = content_of(2 * CHUNK)
        receiving = self.receive(content, self.target(content))
        first, second = chunks_of(content)
        receiving.take(first)
        self.assertEqual(self.files(), ["7-guid.part"])
        receiving.take(second)
        self.assertEqual(self.files(), ["a.txt"])
        path = self.directory / "a.txt"
        self.assertEqual(self.inlet.results, [path])
        self.assertEqual(path.read_bytes(), content)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)

    def test_sameName(self):
        """A name that is taken gets a number; nothing is overwritten."""
        for data, name in ((b"1", "a.txt"), (b"2", "a-2.txt"), (b"3", "a-3.txt")):
            path = self.arrive(data, task=name)
            self.assertEqual((path.name, path.read_bytes()), (name, data))

    def test_namesOfOthers(self):
        """No name leads out of the directory."""
        outside = Path(self.mktemp())
        for name in ("../../etc/passwd", "/etc/passwd", str(outside), "..", "a/../b"):
            path = self.arrive(b"x", name=name, task=str(hash(name)))
            self.assertEqual(path.parent, self.directory)
        self.assertFalse(outside.exists())

    def test_links(self):
        """Links that lie there are not followed."""
        outside = Path(self.mktemp())
        outside.write_bytes(b"mine")
        self.directory.mkdir()
        (self.directory / "a.txt").symlink_to(outside.absolute())
        self.assertEqual(self.arrive(b"x").name, "a-2.txt")
        (self.directory / "7-guid.part").symlink_to(outside.absolute())
        self.receive(b"x", self.target(b"x"))
        self.assertEqual(self.inlet.failures, [710])
        self.assertEqual(outside.read_bytes(), b"mine")

    def test_ownPath(self):
        """A receiver may say where it wants the file."""
        path = self.directory / "mine"
        self.assertEqual(self.arrive(b"x", path=path), path)

    def test_goesOn(self):
        """Another attempt goes on where the last one ended."""
        content = content_of(5 * CHUNK)
        receiving = self.receive(content, self.target(content))
        for chunk in list(chunks_of(content))[:3]:
            receiving.take(chunk)
        receiving.stop(keep=True)
        receiving = self.receive(content, self.target(content))
        self.assertEqual(self.inlet.offsets, [(3 * CHUNK, "*")])
        for chunk in list(chunks_of(content))[3:]:
            self.assertTrue(receiving.take(chunk))
        self.assertEqual(self.inlet.results[0].read_bytes(), content)

    def test_keptIsAnother(self):
        """If what was kept is another file, it begins again, once."""
        content = content_of(5 * CHUNK)
        self.directory.mkdir()
        (self.directory / "7-guid.part").write_bytes(bytes(3 * CHUNK + 9))
        receiving = self.receive(content, self.target(content))
        self.assertEqual(self.inlet.offsets, [(3 * CHUNK, "*")])
        for chunk in list(chunks_of(content))[3:]:
            receiving.take(chunk)
        self.assertEqual(self.inlet.offsets[-1], (0, "*"))
        for chunk in chunks_of(content):
            receiving.take(chunk)
        self.assertEqual(self.inlet.results[0].read_bytes(), content)

    def test_keptIsLonger(self):
        """What is longer than the file, or just as long, is cut."""
        content = content_of(2 * CHUNK)
        self.directory.mkdir()
        (self.directory / "7-guid.part").write_bytes(content + b"more")
        self.receive(content, self.target(content))
        self.assertEqual(self.inlet.offsets, [(CHUNK, "*")])

    def test_discarded(self):
        """What is given up leaves nothing."""
        content = content_of(2 * CHUNK)
        receiving = self.receive(content, self.target(content))
        receiving.take(next(chunks_of(content)))
        receiving.stop(keep=False)
        self.assertEqual(self.files(), [])

    def test_twoAttempts(self):
        """Attempts at the same at a time do not spoil one another."""
        content, other = content_of(2 * CHUNK), bytes(2 * CHUNK)
        first = self.receive(content, self.target(content))
        inlet = self.inlet
        first.take(next(chunks_of(content)))
        second = self.receive(other, self.target(other))
        self.assertEqual(self.inlet.offsets, [(0, "*")])
        second.take(next(chunks_of(other)))
        third = self.receive(other, self.target(other))
        third.stop(keep=False)
        first.take(list(chunks_of(content))[1])
        second.take(list(chunks_of(other))[1])
        self.assertEqual(inlet.results[0].read_bytes(), content)
        self.assertEqual((self.directory / "a-2.txt").read_bytes(), other)
        self.assertEqual(self.files(), ["a-2.txt", "a.txt"])

    def test_tooManyAttempts(self):
        """A fifth attempt at the same at a time is one too many: 710."""
        for _ in range(5):
            self.receive(b"x", self.target(b"x"))
        self.assertEqual(self.inlet.failures, [710])
        self.assertEqual(len(self.files()), 4)

    def test_discardedAtTheEnd(self):
        """Cancelled while it becomes whole it leaves nothing."""
        content = content_of(2 * CHUNK)
        threads = Threads()
        receiving = self.receive(content, self.target(content), threads=threads)
        self.finish(receiving, content, threads, keep=False)
        self.assertEqual(self.files(), [])

    def test_keptAtTheEnd(self):
        """Lost while it becomes whole it is there for another attempt."""
        content = content_of(2 * CHUNK)
        threads = Threads()
        receiving = self.receive(content, self.target(content), threads=threads)
        self.finish(receiving, content, threads, keep=True)
        self.assertEqual(self.files(), ["7-guid.part"])
        receiving = self.receive(content, self.target(content))
        self.assertEqual(self.inlet.offsets, [(CHUNK, "*")])
        receiving.take(list(chunks_of(content))[1])
        self.assertEqual(self.files(), ["a.txt"])

    def finish(self, receiving, content, threads, *, keep):
        """Stop it when all is written and it is about to get its name."""
        threads.run()
        for chunk in chunks_of(content):
            receiving.take(chunk)
        while receiving.offset < len(content):
            threads.step()
        receiving.stop(keep=keep)
        threads.run()
        self.assertEqual(self.inlet.results, [])

    def test_nothingKept(self):
        """Of what never began no unfinished file stays."""
        self.receive(b"x", self.target(b"x")).stop(keep=True)
        self.assertEqual(self.files(), [])

    def test_directoryRemoved(self):
        """An empty directory that is tidied away meanwhile is made again."""
        makedirs, removals = os.makedirs, [1]

        def make(path, **options):
            makedirs(path, **options)
            if removals.pop() if removals else 0:
                os.rmdir(path)

        self.patch(os, "makedirs", make)
        self.assertEqual(self.arrive(b"x").read_bytes(), b"x")

    def test_cannotBeMade(self):
        """Where no directory can be made it is 710."""
        Path(self.directory).write_text("a file")
        self.receive(b"x", self.target(b"x"))
        self.assertEqual(self.inlet.failures, [710])

    def test_noRoom(self):
        """What the disk cannot hold is refused at once: 715, no .part."""
        target = FileTarget(self.directory, "t", "a", 1 << 60)
        inlet = self.inlet = Inlet()
        Receiving(target, 1 << 60, inlet, at_once).start()
        self.assertEqual(inlet.failures, [715])
        self.assertEqual(self.files(), [])
