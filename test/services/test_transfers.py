"""Tests of `anychat.services.transfers` and the ends that the server has."""

import hashlib
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, TransferKind
from anychat.core.commands import BufferPortion, TransferFinished
from anychat.core.state import Transfer
from anychat.errors import PeerError
from anychat.protocols.framing import UNNUMBERED, FrameReader
from anychat.services import transfers
from anychat.services.store import FileStore, StoreSettings
from anychat.services.transfers import (
    OVERALL,
    PATIENCE,
    PER_RECEIVER,
    PER_SENDER,
    TransferService,
)
from anychat.transfers.chunks import (
    CHUNK,
    WINDOW,
    Chunk,
    Taken,
    decode_chunk,
    decode_grant,
    encode_chunk,
    encode_taken,
)
from anychat.transfers.pace import SMALLEST
from test.transfers.bench import at_once, chunks_of, content_of

DATA, PORTION, TAKEN, GRANT = sorted(UNNUMBERED)
ANN, BEN, CAT = 1, 2, 3


class Session:
    """A session as its link has it."""

    def __init__(self, id):
        self.id = id

    def last_taken(self):
        """The last frame taken."""
        return 41


class Link:
    """A link whose client reads, or does not."""

    def __init__(self, id):
        self.session = Session(id)
        self.behind = self.closed = False
        self.room = None
        self.frames = []

    def write(self, data):
        """Take a frame; fall behind when there is no more room."""
        assert not self.behind
        (frame,) = FrameReader().receive(data)
        assert (frame.seq, frame.ack, frame.request) == (0, 41, 0)
        self.frames.append(frame)
        if self.room is not None:
            self.room -= 1
            self.behind = self.room <= 0

    def take(self):
        """What came since the last call: chunks and grants."""
        frames, self.frames = self.frames, []
        return [
            decode_chunk(frame.body)
            if frame.type == PORTION
            else decode_grant(frame.body)
            for frame in frames
        ]


class Links:
    """The clients' links."""

    def __init__(self, *sessions):
        self.carried = {}
        self.eased = []
        self.links = {session: Link(session) for session in sessions}

    def link_of(self, session):
        """The link of a session."""
        return self.links.get(session)


class TransferCase(SynchronousTestCase):
    """A service with three sessions."""

    def setUp(self):
        self.clock = Clock()
        self.links = Links(ANN, BEN, CAT)
        self.commands = []
        self.answers = []
        self.directory = Path(self.mktemp())
        self.make_service()

    def make_service(self, **more):
        """A service whose store has these settings."""
        settings = {
            "user_quota": 1 << 30,
            "total_quota": 1 << 30,
            "part_time": 3600.0,
            "file_time": 7200.0,
            **more,
        }
        self.store = FileStore(
            StoreSettings(directory=self.directory, **settings), self.clock.seconds
        )
        self.service = TransferService(
            self.clock,
            self.links,
            self.commands.append,
            lambda number, answer: self.answers.append((number, answer)),
            self.store,
            at_once,
            lambda: None,
        )

    def begin(
        self,
        task_id=1,
        source=ANN,
        sink=BEN,
        *,
        length=100 * CHUNK,
        kind=TransferKind.FILE,
        name="a.txt",
    ):
        """Begin a transfer."""
        transfer = Transfer(
            id=task_id,
            kind=kind,
            guid=f"guid {task_id}",
            source=source,
            source_id=source or 0,
            sink=sink,
            target_id=sink or 0,
            file_name=name,
            length=length,
            wparam=0,
            lparam=0,
            flags=0,
            text="",
        )
        self.service.start(transfer)
        return transfer

    def take(self, offset, *, task_id=1, session=BEN, restart=False):
        """The receiver has so much."""
        body = encode_taken(Taken(task_id, offset, restart))
        return self.links.carried[TAKEN](Session(session), body)

    def send(self, chunk, *, task_id=1, session=ANN):
        """A chunk of the sender's."""
        return self.links.carried[DATA](Session(session), encode_chunk(task_id, chunk))

    def came(self, session):
        """What a session's client got."""
        return self.links.links[session].take()

    def lose(self, session):
        """A session's link is gone."""
        del self.links.links[session]
        self.service.suspend(session)

    def resume(self, session):
        """It has another one."""
        self.links.links[session] = Link(session)
        self.service.resume(session)


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

    def test_busyLink(self):
        """What others said goes first; chunks wait, and none is lost."""
        self.begin()
        self.take(0, restart=True)
        link = self.links.links[BEN]
        link.room = 2
        chunks = list(chunks_of(content_of(6 * CHUNK)))
        for chunk in chunks:
            self.send(chunk)
        self.assertEqual(self.came(BEN), [(1, chunk) for chunk in chunks[:2]])
        self.assertEqual(self.service.statistics()["queued_bytes"], 4 * (CHUNK + 46))
        link.behind, link.room = False, 3
        self.links.eased[0](BEN)
        self.assertEqual(self.came(BEN), [(1, chunk) for chunk in chunks[2:5]])
        link.behind, link.room = False, 3
        self.links.eased[0](BEN)
        self.assertEqual(self.came(BEN), [(1, chunks[5])])
        self.links.eased[0](CAT)

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

    def assertNothingLeft(self):
        """The service is as a fresh one, counters apart."""
        service = self.service
        self.assertEqual(
            (service._tasks, service._lanes, service._senders, service._active),
            ({}, {}, {}, 0),
        )

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

    def test_queuedForLostLink(self):
        """What waited for a link that is gone is not sent to the next one."""
        self.begin()
        self.take(0, restart=True)
        self.links.links[BEN].behind = True
        self.send(next(chunks_of(content_of(CHUNK))))
        self.lose(BEN)
        self.resume(BEN)
        self.links.eased[0](BEN)
        self.assertEqual(self.came(BEN), [])

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


class WindowTests(TransferCase):
    """A thousand transfers at once."""

    def granted(self, session):
        """Tasks that a sender may send of, since the last call."""
        return [grant[0] for grant in self.came(session)]

    def test_oneReceiver(self):
        """To one receiver four go at a time; each end lets the next begin."""
        for task_id in range(1, 1001):
            self.begin(task_id)
            self.take(0, task_id=task_id, restart=True)
        self.assertEqual(self.granted(ANN), [1, 2, 3, 4])
        for task_id in range(1, 1001):
            self.service.stop(task_id, ResultCode.SUCCESS)
            following = task_id + PER_RECEIVER
            self.assertEqual(self.granted(ANN), [following] * (following <= 1000))
        self.assertEqual(self.service._active, 0)

    def test_oneSender(self):
        """Of one sender sixteen go at a time."""
        self.links = Links(ANN, *range(100, 200))
        self.make_service()
        for session in range(100, 200):
            self.begin(session, ANN, session)
            self.take(0, task_id=session, session=session, restart=True)
        self.assertEqual(self.granted(ANN), list(range(100, 100 + PER_SENDER)))
        self.service.stop(105, ResultCode.CANCEL)
        self.assertEqual(self.granted(ANN), [100 + PER_SENDER])

    def test_overall(self):
        """In all there are so many; the next begins when any one ends."""
        count = OVERALL + 2
        self.links = Links(*range(1, 2 * count + 1))
        self.make_service()
        for number in range(1, count + 1):
            self.begin(number, number, number + count)
            self.take(0, task_id=number, session=number + count, restart=True)
        self.assertEqual(self.service._active, OVERALL)
        self.assertEqual(self.granted(count), [])
        self.service.stop(7, ResultCode.CANCEL)
        self.assertEqual(self.granted(count - 1), [count - 1])
        self.lose(9)
        self.assertEqual(self.granted(count), [count])

    def test_lostLinkFreesWindows(self):
        """Who has no link keeps nobody waiting."""
        for task_id in range(1, 6):
            self.begin(task_id, ANN)
            self.take(0, task_id=task_id, restart=True)
        self.begin(6, CAT)
        self.take(0, task_id=6, restart=True)
        self.assertEqual(self.granted(CAT), [])
        self.lose(ANN)
        self.assertEqual(self.granted(CAT), [6])

    @settings(deadline=None, max_examples=50)
    @given(st.data())
    def test_anything(self, data):
        """Whatever happens, what is counted is what there is."""
        self.setUp()
        here = {ANN, BEN, CAT}
        number = 0
        for _ in range(data.draw(st.integers(1, 60))):
            what = data.draw(st.sampled_from(["begin", "take", "stop", "lose", "send"]))
            if what == "begin":
                number += 1
                pair = data.draw(st.permutations([ANN, BEN, CAT]))
                self.begin(number, pair[0], pair[1])
            elif what == "lose":
                session = data.draw(st.sampled_from([ANN, BEN, CAT]))
                if session in here:
                    self.lose(session)
                else:
                    self.resume(session)
                here ^= {session}
            elif number:
                task_id = data.draw(st.integers(1, number))
                task = self.service._tasks.get(task_id)
                if task is None:
                    continue
                if what == "stop":
                    self.service.stop(task_id, ResultCode.CANCEL)
                elif what == "take" and task.transfer.sink in here:
                    task.restarts = 0
                    sink = task.transfer.sink
                    self.take(task.passed, task_id=task_id, session=sink, restart=True)
                elif what == "send" and task.active:
                    content = content_of(task.passed + SMALLEST)
                    (chunk,) = chunks_of(content, CHUNK * 99, task.passed)
                    self.send(chunk, task_id=task_id, session=task.transfer.source)
            self.check()
        for task_id in range(1, number + 1):
            self.service.stop(task_id, ResultCode.CANCEL)
        self.assertEqual((self.service._tasks, self.service._active), ({}, 0))
        self.assertEqual((self.service._lanes, self.service._senders), ({}, {}))

    def check(self):
        """The counts are right, and nobody waits for nothing."""
        service = self.service
        active = [task for task in service._tasks.values() if task.active]
        self.assertEqual(service._active, len(active))
        for lane in service._lanes.values():
            self.assertEqual(
                lane.active, sum(task.active for task in lane.tasks.values())
            )
            self.assertLessEqual(lane.active, PER_RECEIVER)
        for task in service._tasks.values():
            up = self.links.link_of(task.transfer.source) is not None
            lane = service._lanes[task.transfer.sink]
            if task.ready and up and not task.active:
                self.assertEqual(lane.active, PER_RECEIVER)
            if task.active:
                self.assertTrue(task.ready and up)


class TurnTests(TransferCase):
    """Nobody keeps windows for himself."""

    def setUp(self):
        super().setUp()
        self.links = Links(*range(1, 2000))
        self.make_service()
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def begin_ready(self, task_id, source, sink, **more):
        """Begin a transfer whose receiver waits for its chunks."""
        self.begin(task_id, source, sink, **more)
        self.take(0, task_id=task_id, session=sink, restart=True)

    def drip(self, seconds):
        """Let time pass, in which every task with a window gets on a little."""
        for _ in range(seconds // 10):
            for task in list(self.service._tasks.values()):
                if task.active:
                    self.send_more(task)
            self.clock.advance(10.0)

    def send_more(self, task, size=SMALLEST):
        """The next chunk of a task."""
        digest = hashlib.sha256(bytes(task.passed + size)).digest()
        chunk = Chunk(task.passed, digest, bytes(size))
        transfer = task.transfer
        self.send(chunk, task_id=transfer.id, session=transfer.source)
        if transfer.sink is not None:
            taken = task.passed
            self.take(taken, task_id=transfer.id, session=transfer.sink)

    def test_slowSenders(self):
        """Who sends a thousand files drop by drop does not keep others waiting."""
        for task_id in range(1, 1001):
            self.begin_ready(task_id, 10 + task_id % 2, BEN)
        self.begin_ready(2000, CAT, BEN)
        self.came(CAT)
        self.drip(80)
        self.assertEqual(self.came(CAT)[:1], [(2000, 0, WINDOW, True)])
        self.assertEqual(self.commands, [])

    def test_goesOn(self):
        """Who has yielded goes on where he was."""
        for task_id in range(1, PER_RECEIVER + 1):
            self.begin_ready(task_id, ANN, BEN)
        self.begin_ready(9, CAT, BEN)
        self.drip(20)
        self.came(ANN)
        self.drip(10)
        task = self.service._tasks[1]
        self.assertFalse(task.active)
        self.assertEqual(len(self.came(CAT)), 1)
        passed = task.passed
        chunk = Chunk(passed, bytes(32), bytes(SMALLEST))
        self.assertFalse(self.send(chunk))
        self.service.stop(9, ResultCode.CANCEL)
        grants = [grant for grant in self.came(ANN) if grant.task_id == 1]
        self.assertEqual(grants[-1], (1, passed, passed + WINDOW, True))

    def test_nobodyElse(self):
        """Files of one user to another do not interrupt one another."""
        for task_id in range(1, 10):
            self.begin_ready(task_id, ANN, BEN)
        self.drip(200)
        active = [task.transfer.id for task in self.service._tasks.values()]
        self.assertEqual(active[:PER_RECEIVER], [1, 2, 3, 4])
        self.assertTrue(self.service._tasks[1].active)

    def test_receiverThatDoesNotRead(self):
        """What waits for its link does not grow with the turns."""
        most = PER_RECEIVER * (WINDOW + 18 * 46)
        self.links.links[BEN].behind = True
        for task_id in range(1, 41):
            self.begin_ready(task_id, 10 + task_id, BEN)
        for _ in range(20):
            for task in list(self.service._tasks.values()):
                while task.active and task.passed < task.limit:
                    chunk = Chunk(task.passed, bytes(32), bytes(CHUNK))
                    transfer = task.transfer
                    self.send(chunk, task_id=transfer.id, session=transfer.source)
            self.clock.advance(10.0)
            queued = self.service.statistics()["queued_bytes"]
            self.assertLessEqual(queued, most)
        self.assertGreater(queued, 0)
        self.links.links[BEN].behind = False
        self.links.eased[0](BEN)
        for task_id, chunk in self.came(BEN):
            task = self.service._tasks[task_id]
            self.assertLessEqual(chunk.end, task.passed)

    def test_standStill(self):
        """Who does nothing with its turns is given up all the same."""
        for task_id in range(1, 9):
            self.begin_ready(task_id, ANN, BEN)
        self.begin_ready(9, CAT, BEN)
        self.clock.pump([10.0] * 20)
        self.assertIn(TransferFinished(1, ResultCode.TRANSFILE_FAILED), self.commands)

    def test_everywhere(self):
        """Who fills all windows of the server gives them up to others."""
        for number in range(OVERALL):
            self.begin_ready(number + 1, 100 + number // 16, 300 + number // 4)
        self.begin_ready(1000, ANN, BEN)
        self.came(ANN)
        self.drip(40)
        self.assertEqual(self.came(ANN)[0], (1000, 0, WINDOW, True))

    def test_uploads(self):
        """A file for the server that hardly comes is given up if others wait."""
        for number in range(OVERALL):
            length = 2_000_000
            self.begin(number + 1, 100 + number // 16, None, length=length)
        self.drip(100)
        self.assertEqual(self.commands, [])
        self.begin(1000, ANN, None)
        self.drip(100)
        ended = {command.task_id for command in self.commands}
        self.assertEqual(ended, set(range(1, OVERALL + 1)))
        self.assertEqual(self.commands[0].code, ResultCode.TRANSFILE_FAILED)

    def test_fed(self):
        """What a business server sends stops while others have their turn."""
        self.begin(1, None, BEN)
        self.take(0, restart=True)
        for task_id in range(2, PER_RECEIVER + 1):
            self.begin_ready(task_id, ANN, BEN)
        self.begin_ready(9, CAT, BEN)
        self.drip_fed(30)
        self.assertFalse(self.service._tasks[1].active)
        self.assertTrue(self.service._tasks[9].active)
        passed = self.service._tasks[1].passed
        self.service.feed(1, self.fed, bytes(CHUNK))
        self.assertEqual(self.service._tasks[1].passed, passed)

    def drip_fed(self, seconds):
        """Let time pass, in which the business server feeds."""
        self.fed = 0
        for _ in range(seconds // 10):
            self.service.feed(1, self.fed, bytes(CHUNK))
            self.fed += CHUNK
            self.clock.advance(10.0)


class PatienceTests(TransferCase):
    """What stands still."""

    def setUp(self):
        super().setUp()
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def wait(self, seconds=PATIENCE + 20):
        """Let time pass."""
        self.clock.pump([1.0] * int(seconds))

    def finished(self):
        """Numbers and codes of what was given up."""
        return {(command.task_id, int(command.code)) for command in self.commands}

    def test_noAnswer(self):
        """A receiver that never says anything."""
        self.begin()
        self.begin(2, kind=TransferKind.BUFFER)
        self.wait()
        self.assertEqual(self.finished(), {(1, 715), (2, 701)})

    def test_noChunks(self):
        """A sender that never sends anything, and a receiver that stops."""
        self.begin()
        self.take(0, restart=True)
        self.wait(50)
        self.send(next(chunks_of(content_of(CHUNK))))
        self.wait(50)
        self.assertEqual(self.commands, [])
        self.wait()
        self.assertEqual(self.finished(), {(1, 715)})

    def test_waiting(self):
        """Who waits for a window or for a link is not given up."""
        for task_id in range(1, 6):
            self.begin(task_id)
            self.take(0, task_id=task_id, restart=True)
        self.begin(6)
        self.lose(CAT)
        self.begin(7, CAT, ANN)
        self.begin(8, ANN, CAT)
        self.wait()
        self.assertEqual({task_id for task_id, _ in self.finished()}, {1, 2, 3, 4})


class StoreCase(TransferCase):
    """Files and buffers for the server."""

    def upload(self, content, task_id=1, *, session=ANN, **more):
        """Send all of it; the command that ends it."""
        self.begin(task_id, session, None, length=len(content), **more)
        for chunk in chunks_of(content):
            if task_id not in {command.task_id for command in self.commands}:
                self.send(chunk, task_id=task_id, session=session)
        return self.commands[-1] if self.commands else None

    def names(self, user=ANN):
        """Names of a user's files."""
        try:
            return sorted(os.listdir(self.directory / str(user)))
        except FileNotFoundError:
            return []


class StoreTests(StoreCase):
    """What becomes of files for the server."""

    def test_file(self):
        """It is stored under its user, and the core is told where."""
        content = content_of(3 * CHUNK + 9)
        finished = self.upload(content)
        path = self.directory / "1" / "a.txt"
        self.assertEqual(finished, TransferFinished(1, ResultCode(0), str(path)))
        self.assertEqual(path.read_bytes(), content)

    def test_grants(self):
        """The sender may go on as it is written."""
        content = content_of(40 * CHUNK)
        self.upload(content)
        limits = [grant.limit for grant in self.came(ANN)]
        self.assertEqual(limits[0], WINDOW)
        self.assertEqual(limits[-1], len(content))
        self.assertEqual(limits, sorted(limits))

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

    def test_codes(self):
        """What has no other end any more has a code of its kind."""
        self.assertEqual(
            [int(transfers.gone(kind)) for kind in TransferKind], [701, 715, 715]
        )
