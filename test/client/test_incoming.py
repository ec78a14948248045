"""Tests of `anychat.client.incoming`."""

import os
from pathlib import Path

from twisted.internet.defer import Deferred

from anychat.client.incoming import RECEIVED_AT_ONCE, RECEIVED_OF_ALL
from anychat.codes import ResultCode, TransTaskInfo
from anychat.errors import LocalError, Refused
from anychat.messages import (
    EndTransfer,
    Result,
    Resync,
    TransferEnded,
    TransferTaken,
    TransferTasks,
)
from anychat.transfers.chunks import CHUNK
from test.client.transfer_case import BUFFER, FILE, FILE_EX, OK, ReceivingCase
from test.transfers.bench import content_of


class ReceivingTests(ReceivingCase):
    """What others send."""

    def test_file(self):
        """It is stored, the server is told, and the program."""
        content = content_of(2 * CHUNK + 5)
        said = self.arrive(content)
        self.assertEqual(
            said,
            [
                TransferTaken(4, 0, True),
                TransferTaken(4, CHUNK, False),
                TransferTaken(4, 2 * CHUNK, False),
                EndTransfer(4, FILE, OK),
            ],
        )
        path = self.transfers.directory / "a.txt"
        self.assertEqual(path.read_bytes(), content)
        self.assertEqual(
            self.told("on_trans_file"),
            [(5, "a.txt", str(path), len(content), 1, 2, 4)],
        )
        self.assertEqual(self.transfers.query(4, TransTaskInfo.STATUS), 3)
        self.assertEqual(self.transfers.query(4, TransTaskInfo.SAVE_AS_PATH), str(path))

    def test_fileEx(self):
        """TransFileEx is told with its GUID and text."""
        self.arrive(b"x", kind=FILE_EX)
        path = str(self.transfers.directory / "a.txt")
        self.assertEqual(
            self.told("on_trans_file_ex"), [(5, OK, "a.txt", path, 1, 3, "g", "note")]
        )

    def test_buffer(self):
        """A buffer goes to the program, and nowhere else."""
        content = content_of(100_000)
        self.arrive(content, kind=BUFFER, name="")
        self.assertEqual(self.told("on_trans_buffer_ex"), [(5, content, 1, 2, 4)])
        self.assertFalse(self.transfers.directory.exists())

    def test_names(self):
        """Whatever a sender calls it, it stays in the directory."""
        for number, name in enumerate(("../../etc/passwd", "/etc/x", "..", ""), 1):
            self.arrive(b"x", task_id=number, name=name, guid=f"../{number}")
        for _, _, path, *_ in self.told("on_trans_file"):
            self.assertEqual(Path(path).parent, self.transfers.directory)
        self.assertEqual(len(os.listdir(self.transfers.directory)), 4)

    def test_tooLarge(self):
        """What is too large, or cannot be, is not taken."""
        self.transfers.maximum = 10
        cases = (
            (FILE, 11, 712),
            (FILE, 0, 712),
            (BUFFER, 0, 21),
            (BUFFER, (1 << 20) + 1, 21),
        )
        for task_id, (kind, length, code) in enumerate(cases, 4):
            self.offer(task_id, kind=kind, length=length)
            ended = EndTransfer(task_id, kind, ResultCode(code))
            self.assertEqual(self.came(), [ended])

    def test_accept(self):
        """The program may decline, or say where it wants a file."""
        self.transfers.accept = lambda task: False
        self.offer(length=3)
        self.assertEqual(self.came(), [EndTransfer(4, FILE, ResultCode.CANCEL)])
        self.transfers.accept = lambda task: 1 / 0
        self.offer(5, length=3)
        self.assertEqual(self.came(), [EndTransfer(5, FILE, ResultCode.CANCEL)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        own = Path(self.mktemp())

        def accept(task):
            task.path = own
            return True

        self.transfers.accept = accept
        self.arrive(b"abc", task_id=6)
        self.assertEqual(own.read_bytes(), b"abc")

    def test_acceptedPath(self):
        """So may what `accept` sets; what is no path is the program's fault."""
        own = self.mktemp()

        def accept(task):
            task.path = own
            return True

        self.transfers.accept = accept
        self.arrive(b"abc")
        self.assertEqual(Path(own).read_bytes(), b"abc")
        own = 5
        self.offer(5, length=3)
        self.assertEqual(self.came(), [EndTransfer(5, FILE, ResultCode.CANCEL)])
        self.assertEqual(len(self.flushLoggedErrors(Refused)), 1)

    def test_acceptLater(self):
        """What says yes or no later only has said neither."""

        async def accept(task):
            return True

        for number, later in enumerate((accept, lambda task: Deferred()), 5):
            self.transfers.accept = later
            self.offer(number, length=3)
            ended = EndTransfer(number, FILE, ResultCode.CANCEL)
            self.assertEqual(self.came(), [ended])
            self.assertEqual(len(self.flushLoggedErrors(LocalError)), 1)

    def test_fullDisk(self):
        """A full disk is told the sender as 715, and nothing stays."""

        def full(descriptor, pieces):
            raise OSError(28, "No space left on device")

        self.patch(os, "writev", full)
        said = self.arrive(b"abc", kind=FILE_EX)
        self.assertEqual(said[-1], EndTransfer(4, FILE_EX, ResultCode(715)))
        self.assertEqual(os.listdir(self.transfers.directory), [])
        self.assertEqual(self.told("on_trans_file_ex")[0][1], 715)

    def test_cancelled(self):
        """What its sender cancels leaves nothing; what fails can go on later."""
        content = content_of(3 * CHUNK)
        for code, left in ((6, 0), (715, 1)):
            self.offer(length=len(content))
            self.send(content[: 2 * CHUNK])
            self.say(TransferEnded(4, ResultCode(code)))
            self.assertEqual(len(os.listdir(self.transfers.directory)), left)
        self.came()
        self.offer(7, length=len(content))
        self.assertEqual(self.came(), [TransferTaken(7, 2 * CHUNK, True)])
        self.send(content, 7, start=2 * CHUNK)
        path = self.transfers.directory / "a.txt"
        self.assertEqual(path.read_bytes(), content)

    def test_cancelOurselves(self):
        """The receiver may cancel too, once."""
        self.offer(length=9)
        self.transfers.cancel(4)
        self.assertEqual(self.came()[-1], EndTransfer(4, FILE, ResultCode.CANCEL))
        self.assertRaises(Refused, self.transfers.cancel, 4)
        self.assertEqual(os.listdir(self.transfers.directory), [])
        self.say(TransferEnded(4, ResultCode.CANCEL))

    def test_lostLink(self):
        """After a lost link it says where each of its tasks goes on."""
        content = content_of(3 * CHUNK)
        self.offer(length=len(content))
        self.send(content[:CHUNK])
        self.server.cut()
        self.clock.advance(1.0)
        self.assertIn(TransferTaken(4, CHUNK, True), self.came())
        self.send(content, start=CHUNK)
        self.assertEqual(len(self.told("on_trans_file")), 1)

    def test_resync(self):
        """After a resync known tasks go on and are not begun twice."""
        self.offer(length=9)
        self.came()
        self.say(Resync(7, 0))
        self.say(TransferTasks((4,)))
        self.offer(length=9)
        self.assertEqual(self.came(), [])
        self.say(TransferTasks(()))
        self.assertEqual(self.transfers.tasks, ())

    def test_lostSession(self):
        """With the session its tasks are over; their parts stay."""
        content = content_of(2 * CHUNK)
        self.offer(length=len(content), kind=FILE_EX)
        self.send(content[:CHUNK])
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.clock.advance(1.0)
        self.server.flush()
        self.assertEqual(self.told("on_trans_file_ex")[0][1], 715)
        self.assertEqual(len(os.listdir(self.transfers.directory)), 1)

    def test_aThousand(self):
        """Of a thousand a few are open at a time; all arrive."""
        for number in range(1, 1001):
            self.offer(number, length=3, guid=str(number))
            if number % 100 == 0:
                self.clock.advance(1.0)
        self.assertEqual(len(os.listdir(self.transfers.directory)), RECEIVED_AT_ONCE)
        for number in range(1, 1001):
            self.send(b"abc", number)
            for request, message in self.server.side.take():
                if isinstance(message, EndTransfer):
                    self.say(Result(OK), request)
            self.clock.advance(0.01)
        self.assertEqual(len(self.told("on_trans_file")), 1000)
        self.assertEqual(len(os.listdir(self.transfers.directory)), 1000)

    def test_slowSender(self):
        """Who sends a thousand files slowly keeps nobody else's waiting."""
        for number in range(1, 101):
            self.offer(number, length=3, guid=str(number))
        self.offer(200, length=3, guid="200", source=8)
        self.send(b"abc", 200)
        self.assertEqual(len(self.told("on_trans_file")), 1)
        self.assertEqual(
            len(os.listdir(self.transfers.directory)), RECEIVED_AT_ONCE + 1
        )

    def test_manySenders(self):
        """There is a bound for all senders together, too."""
        for number in range(1, 101):
            self.offer(number, length=3, guid=str(number), source=number)
        files = os.listdir(self.transfers.directory)
        self.assertEqual(len(files), RECEIVED_OF_ALL)
        for number in range(1, 101):
            self.send(b"abc", number)
        self.assertEqual(len(self.told("on_trans_file")), 100)

    def test_offeredAgain(self):
        """What has come whole is not received anew when it is offered once more."""
        self.offer(length=3)
        self.send(b"abc")
        self.server.flush()
        requests = [item for item in self.server.side.take() if item[0]]
        self.say(Resync(7, 0))
        self.say(TransferTasks((4,)))
        self.offer(length=3)
        self.assertEqual((self.came(), self.transfers.tasks), ([], ()))
        ((request, ended),) = requests
        self.assertEqual(ended, EndTransfer(4, FILE, OK))
        self.say(Result(OK), request)
        self.offer(length=3, guid="another")
        self.assertEqual(len(self.transfers.tasks), 1)

    def test_strangeChunks(self):
        """Chunks of nothing are ignored, and do no harm."""
        self.send(b"abc", 99)
        self.offer(length=2)
        self.send(b"abc")
        self.assertEqual(self.came(), [TransferTaken(4, 0, True)])
        self.transfers.cancel(4)
