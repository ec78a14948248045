"""Tests of `anychat.transfers.sending`."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.chunks import CHUNK, WINDOW
from anychat.transfers.files import BufferContent, FileContent
from anychat.transfers.pace import Cap
from anychat.transfers.sending import AHEAD, Sending
from test.transfers.bench import Threads, at_once, chunks_of, content_of


class Outlet:
    """A link that takes as many chunks as it is told to."""

    def __init__(self, room=1000):
        self.room = room
        self.chunks = []
        self.failures = []

    def may_send(self):
        """Whether there is room."""
        return self.room > 0

    def send_chunk(self, chunk):
        """Keep it."""
        self.room -= 1
        self.chunks.append(chunk)

    def sending_failed(self, code):
        """Keep the code."""
        self.failures.append(int(code))

    def offsets(self):
        """Where the chunks that came since the last call begin."""
        offsets = [chunk.offset // CHUNK for chunk in self.chunks]
        del self.chunks[:]
        return offsets


class SendingTests(SynchronousTestCase):
    """What goes out when."""

    def make(self, chunks=40, *, threads=at_once, cap=None, extra=0):
        """A sending end with so many chunks of content."""
        self.clock, self.outlet = Clock(), Outlet()
        self.content = content_of(chunks * CHUNK + extra)
        return Sending(
            BufferContent(self.content), self.outlet, self.clock, threads, cap
        )

    def test_nothingWithoutGrant(self):
        """Before a grant nothing is read or sent."""
        threads = Threads()
        sending = self.make(threads=threads)
        sending.pump()
        self.assertEqual((self.outlet.chunks, len(threads)), ([], 0))

    def test_window(self):
        """Chunks go out up to the limit, and on when it moves."""
        sending = self.make()
        sending.grant(0, 3 * CHUNK, restart=True)
        self.assertEqual(self.outlet.offsets(), [0, 1, 2])
        sending.grant(2 * CHUNK, 5 * CHUNK, restart=False)
        self.assertEqual(self.outlet.offsets(), [3, 4])
        self.assertEqual(sending.taken, 2 * CHUNK)

    def test_whole(self):
        """All of it goes out, as it should, whatever the length."""
        for extra in (0, 1, CHUNK - 1):
            sending = self.make(40, extra=extra)
            length, offset = len(self.content), 0
            sending.grant(0, min(length, WINDOW), restart=True)
            while offset < length:
                offset = self.outlet.chunks[-1].end
                sending.grant(offset, min(length, offset + WINDOW), restart=False)
            self.assertEqual(self.outlet.chunks, list(chunks_of(self.content)))
            self.assertEqual(sending.sent_again, 0)

    def test_linkIsBusy(self):
        """While something else waits on the link nothing goes out."""
        sending = self.make()
        self.outlet.room = 2
        sending.grant(0, WINDOW, restart=True)
        self.assertEqual(self.outlet.offsets(), [0, 1])
        sending.pump()
        self.assertEqual(self.outlet.offsets(), [])
        self.outlet.room = 1
        sending.pump()
        self.assertEqual(self.outlet.offsets(), [2])

    def test_memory(self):
        """However long the content, little of it is held."""
        sending = self.make(400)
        self.outlet.room = 0
        sending.grant(0, WINDOW, restart=True)
        for _ in range(100):
            sending.pump()
        self.assertLessEqual(len(sending._chunks), 2 * AHEAD)
        self.outlet.room = 1000
        sending.pump()
        self.assertLessEqual(len(sending._chunks), WINDOW // CHUNK + 2 * AHEAD)

    def test_lostLink(self):
        """After a lost link only what did not arrive goes out again."""
        sending = self.make()
        sending.grant(0, WINDOW, restart=True)
        self.assertEqual(len(self.outlet.offsets()), 18)
        sending.suspend()
        sending.pump()
        self.assertEqual(self.outlet.offsets(), [])
        sending.grant(7 * CHUNK, 7 * CHUNK + WINDOW, restart=True)
        self.assertEqual(self.outlet.offsets(), list(range(7, 25)))
        self.assertEqual(sending.sent_again, 11 * CHUNK)
        sending.suspend()
        sending.grant(25 * CHUNK, 26 * CHUNK, restart=True)
        self.assertEqual(self.outlet.offsets(), [25])
        self.assertEqual(sending.sent_again, 11 * CHUNK)

    def test_goesOnElsewhere(self):
        """A receiver that has kept something, or has lost it, is served."""
        sending = self.make()
        sending.grant(30 * CHUNK, 32 * CHUNK, restart=True)
        expected = list(chunks_of(self.content))
        self.assertEqual(self.outlet.chunks, expected[30:32])
        sending.grant(0, 2 * CHUNK, restart=True)
        self.assertEqual(self.outlet.chunks[2:], expected[:2])

    def test_oldReading(self):
        """What was being read when the receiver began elsewhere is not sent."""
        threads = Threads()
        sending = self.make(threads=threads)
        sending.grant(0, WINDOW, restart=True)
        sending.grant(9 * CHUNK, 11 * CHUNK, restart=True)
        threads.run()
        self.assertEqual(self.outlet.offsets(), [9, 10])

    def test_cap(self):
        """A bit-rate cap is kept to."""
        sending = self.make(100, cap=Cap(8 * CHUNK * 10))
        sending.grant(0, WINDOW, restart=True)
        self.assertEqual(len(self.outlet.offsets()), 1)
        for _ in range(3):
            self.clock.pump([0.1] * 10)
            offsets = self.outlet.offsets()
            self.assertEqual(len(offsets), 10)
            taken = (offsets[-1] + 1) * CHUNK
            sending.grant(taken, taken + WINDOW, restart=False)
        sending.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lowCap(self):
        """A low cap is kept to in small chunks: no minute passes without one."""
        sending = self.make(2, cap=Cap(1000))
        sending.grant(0, 2 * CHUNK, restart=True)
        for _ in range(3):
            del self.outlet.chunks[:]
            self.clock.pump([1.0] * 40)
            self.assertEqual([len(chunk.data) for chunk in self.outlet.chunks], [4096])
        sending.stop()

    def test_capOfAll(self):
        """The cap is one for all tasks."""
        cap, clock, outlet = Cap(8 * CHUNK * 10), Clock(), Outlet()
        for _ in range(2):
            content = BufferContent(content_of(50 * CHUNK))
            one = Sending(content, outlet, clock, at_once, cap)
            one.grant(0, WINDOW, restart=True)
        clock.pump([0.05] * 20)
        self.assertIn(len(outlet.chunks), (10, 11))

    def test_stop(self):
        """Nothing goes out after the end, and the content is closed."""
        threads = Threads()
        sending = self.make(threads=threads)
        sending.content.close = lambda: closed.append(True)
        closed = []
        sending.grant(0, WINDOW, restart=True)
        sending.stop()
        self.assertEqual(closed, [])
        threads.run()
        sending.grant(0, WINDOW, restart=True)
        sending.stop()
        self.assertEqual((self.outlet.chunks, closed), ([], [True]))

    def test_nonsense(self):
        """A grant beyond the content changes nothing."""
        sending = self.make(2)
        sending.grant(0, 3 * CHUNK, restart=True)
        sending.grant(9 * CHUNK, 0, restart=True)
        self.assertEqual(self.outlet.chunks, [])

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, 45), st.booleans()), max_size=12))
    def test_anyGrants(self, grants):
        """Whatever is granted, each chunk is right and within the limit."""
        sending = self.make(40, extra=5)
        expected = list(chunks_of(self.content))
        limit = 0
        for at, restart in grants:
            offset = min(at * CHUNK, len(self.content))
            granted = min(offset + WINDOW, len(self.content))
            limit = granted if restart else max(limit, granted)
            sending.grant(offset, granted, restart=restart)
            for chunk in self.outlet.chunks:
                self.assertEqual(chunk, expected[chunk.offset // CHUNK])
                self.assertLessEqual(chunk.end, limit)
            del self.outlet.chunks[:]


class FileTests(SynchronousTestCase):
    """Content that is a file."""

    def send(self, content):
        """What comes of a file's content."""
        outlet = Outlet()
        length = content.length
        sending = Sending(content, outlet, Clock(), at_once)
        sending.grant(0, length, restart=True)
        return outlet

    def test_file(self):
        """A file is sent as it is, and opened only then."""
        path = self.mktemp()
        data = content_of(3 * CHUNK + 7)
        content = FileContent(path, len(data))
        with open(path, "wb") as file:
            file.write(data)
        outlet = self.send(content)
        self.assertEqual(outlet.chunks, list(chunks_of(data)))

    def test_gone(self):
        """A file that is gone, shorter, or no file any more: 713."""
        self.assertEqual(self.send(FileContent("nowhere", 10)).failures, [713])
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"short")
        self.assertEqual(self.send(FileContent(path, 10)).failures, [713])
        os.unlink(path)
        os.mkfifo(path)
        self.assertEqual(self.send(FileContent(path, 10)).failures, [713])
        self.assertEqual(self.send(FileContent(".", 10)).failures, [713])
