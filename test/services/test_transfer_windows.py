"""Tests of `anychat.services.transfer_windows`, in the service that uses them."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from anychat.codes import ResultCode
from anychat.core.commands import TransferFinished
from anychat.services.transfer_windows import OVERALL, PER_RECEIVER, PER_SENDER
from anychat.transfers.chunks import CHUNK, WINDOW, Chunk
from anychat.transfers.pace import SMALLEST
from test.services.transfer_case import ANN, BEN, CAT, Links, TransferCase
from test.transfers.bench import chunks_of, content_of


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
        self.assertEqual(self.service._windows.active, 0)

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
        self.assertEqual(self.service._windows.active, OVERALL)
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
        self.assertNothingLeft()

    def check(self):
        """The counts are right, and nobody waits for nothing."""
        service = self.service
        active = [task for task in service._tasks.values() if task.active]
        windows = service._windows
        self.assertEqual(windows.active, len(active))
        for side in windows._receivers.values():
            self.assertEqual(
                side.active, sum(task.active for task in side.tasks.values())
            )
            self.assertLessEqual(side.active, PER_RECEIVER)
        for task in service._tasks.values():
            up = self.links.link_of(task.transfer.source) is not None
            side = windows._receivers[task.transfer.sink]
            if task.ready and up and not task.active:
                self.assertEqual(side.active, PER_RECEIVER)
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
