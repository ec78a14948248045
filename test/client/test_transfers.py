"""Tests of `anychat.client.transfers`."""

import json
import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client import transfers as module
from anychat.client.client import Client
from anychat.client.transfers import RECEIVED_AT_ONCE, RECEIVED_OF_ALL, no_files
from anychat.codes import ResultCode, TransferKind, TransTaskInfo
from anychat.errors import LocalError, Refused
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    Result,
    Resync,
    TransferBegun,
    TransferData,
    TransferEnded,
    TransferGrant,
    TransferOffered,
    TransferPortion,
    TransferTaken,
    TransferTasks,
)
from anychat.transfers.chunks import CHUNK, WINDOW
from test.client.fakes import RecordingEvents
from test.client.server import FakeServer
from test.transfers.bench import at_once, chunks_of, content_of

BUFFER, FILE, FILE_EX = TransferKind
OK = ResultCode.SUCCESS


class TransfersCase(SynchronousTestCase):
    """A client that is logged in."""

    def setUp(self):
        self.clock = Clock()
        self.server = FakeServer(self.clock)
        self.events = RecordingEvents()
        self.client = Client(
            self.clock,
            self.events,
            plain=True,
            log_path=None,
            random_bytes=bytes,
            uniform=lambda low, high: low,
            endpoint=self.server.endpoint,
            in_thread=at_once,
        )
        self.client.connect("localhost").addErrback(lambda _: None)
        self.client.login("me").addErrback(lambda _: None)
        self.server.flush()
        self.server.side.take()
        self.transfers = self.client.transfers
        self.transfers.directory = Path(self.mktemp())
        self.transfers.make_window = lambda: None
        self.addCleanup(self.finish)

    def finish(self):
        """Close the client; nothing may be left over."""
        self.client.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.transfers.tasks, ())

    def came(self):
        """What the client has said since the last call."""
        self.server.flush()
        return [message for _, message in self.server.side.take()]

    def say(self, message, request=0):
        """Have the server say something."""
        self.server.side.send(message, request)
        self.server.flush()

    def answer(self, *messages):
        """Answer the requests that came, in their order."""
        self.server.flush()
        requests = [item for item in self.server.side.take() if item[0]]
        for (request, _), message in zip(requests, messages, strict=True):
            self.server.side.send(message, request)
        self.server.flush()
        return [message for _, message in requests]

    def told(self, name):
        """Arguments of the events of that name."""
        return [item[1:] for item in self.events.seen if item[0] == name]

    def file(self, content, name="a.txt"):
        """A file with that content."""
        path = Path(self.mktemp())
        path.mkdir()
        (path / name).write_bytes(content)
        return path / name


class SendingTests(TransfersCase):
    """What this client sends."""

    def begin(self, content=b"x" * 1000, **more):
        """Send a file; the task, which the server has granted."""
        task = self.transfers.trans_file(5, self.file(content), **more)
        self.outcome = task.done()
        self.addCleanup(self.outcome.addErrback, lambda failure: None)
        (self.asked,) = self.answer(TransferBegun(OK, 9))
        return task

    def grant(self, offset, limit, restart=False):
        """Let the client send; offsets of what comes."""
        self.say(TransferGrant(9, offset, limit, restart))
        return [message.offset for message in self.came()]

    def test_request(self):
        """The server is told all there is to know, but no directories."""
        task = self.begin(content_of(100), wparam=1, lparam=-2, flags=3)
        self.assertEqual(
            self.asked,
            BeginTransfer(5, FILE, task.guid, "a.txt", 100, 1, -2, 3, ""),
        )
        self.assertEqual(task.query(TransTaskInfo.STATUS), 1)
        self.assertEqual(self.transfers.tasks, (task,))

    def test_whole(self):
        """It goes out as it is, and the server's word ends it."""
        content = content_of(3 * CHUNK + 1)
        task = self.begin(content)
        self.say(TransferGrant(9, 0, len(content), True))
        self.assertEqual(
            self.came(),
            [
                TransferData(9, chunk.offset, chunk.digest, chunk.data)
                for chunk in chunks_of(content)
            ],
        )
        self.clock.advance(1)
        self.say(TransferGrant(9, 2 * CHUNK, len(content), False))
        self.assertEqual(task.query(3), 2)
        self.assertEqual(task.query(1), 66)
        self.assertEqual(task.query(2), 2 * CHUNK * 8)
        self.assertNoResult(self.outcome)
        self.say(TransferEnded(9, OK))
        self.assertIs(self.successResultOf(self.outcome), task)
        self.assertEqual((task.query(1), task.query(2), task.query(3)), (100, 0, 3))

    def test_buffer(self):
        """A buffer goes the same way."""
        task = self.transfers.trans_buffer_ex(0, b"abc", 1, 2, 3)
        (asked,) = self.answer(TransferBegun(OK, 9))
        self.assertEqual(asked, BeginTransfer(0, BUFFER, task.guid, "", 3, 1, 2, 3, ""))
        self.grant(0, 3, True)
        self.say(TransferEnded(9, OK))
        self.assertIs(self.successResultOf(task.done()), task)

    def test_ex(self):
        """TransFileEx has a GUID and a text of the program's."""
        task = self.transfers.trans_file_ex("my-guid", 5, self.file(b"x"), 4, "note")
        (asked,) = self.answer(TransferBegun(OK, 9))
        self.assertEqual(
            asked, BeginTransfer(5, FILE_EX, "my-guid", "a.txt", 1, 0, 0, 4, "note")
        )
        self.assertEqual(self.transfers.query("my-guid", TransTaskInfo.PROGRESS), 0)
        again = self.transfers.trans_file_ex("my-guid", 5, self.file(b"x"))
        self.assertFails(again, 10)
        self.transfers.cancel(task)

    def assertFails(self, task, code):
        """The task has failed with that code."""
        failure = self.failureResultOf(task.done(), Refused)
        self.assertEqual(int(failure.value.code), code)
        self.assertEqual((int(task.code), task.query(3)), (code, 4))

    def test_wrongContent(self):
        """What cannot be sent is refused at once, and nobody is asked."""
        self.transfers.maximum = 10
        directory = Path(self.mktemp())
        directory.mkdir()
        for path, code in (
            ("nowhere", 711),
            (self.file(b""), 711),
            (directory, 710),
            (self.file(b"x" * 11), 712),
            ("a\0b", 710),
        ):
            self.assertFails(self.transfers.trans_file(5, path), code)
        for size in (0, (1 << 20) + 1):
            self.assertFails(self.transfers.trans_buffer_ex(5, bytes(size)), 21)
        self.assertEqual(self.came(), [])

    def test_refused(self):
        """The server's no is the task's end."""
        for code in (205, 21, 700, 712):
            task = self.transfers.trans_file(5, self.file(b"x"))
            self.answer(TransferBegun(ResultCode(code)))
            self.assertFails(task, code)

    def test_failed(self):
        """What fails elsewhere fails here: a receiver that has vanished."""
        task = self.begin()
        self.say(TransferEnded(9, ResultCode.TRANSFILE_FAILED))
        self.assertFails(task, 715)
        self.assertFails(task, 715)  # again: the outcome stays

    def test_fileIsGone(self):
        """A file that cannot be read any more is given up, and the server told."""
        task = self.begin()
        os.unlink(task.path)
        self.say(TransferGrant(9, 0, 1000, True))
        self.assertFails(task, 713)
        self.assertEqual(self.came(), [EndTransfer(9, FILE, ResultCode(713))])

    def test_cancel(self):
        """It can be cancelled, once."""
        for name in (lambda task: task, lambda task: 9, lambda task: task.guid):
            task = self.begin()
            self.transfers.cancel(name(task))
            self.assertEqual(self.came(), [EndTransfer(9, FILE, ResultCode.CANCEL)])
            self.assertFails(task, 6)
            self.failureResultOf(self.outcome, Refused)
            error = self.assertRaises(Refused, self.transfers.cancel, name(task))
            self.assertEqual(error.code, 716)
        task = self.transfers.trans_buffer_ex(5, b"x")
        self.answer(TransferBegun(OK, 10))
        self.transfers.cancel(task)
        error = self.assertRaises(Refused, self.transfers.cancel, 10)
        self.assertEqual(error.code, 701)

    def test_cancelEarly(self):
        """What is cancelled before it has a number is cancelled when it has one."""
        task = self.transfers.trans_file(5, self.file(b"x"))
        self.transfers.cancel(task)
        self.assertFails(task, 6)
        self.answer(TransferBegun(OK, 9))
        self.assertEqual(self.came(), [EndTransfer(9, FILE, ResultCode.CANCEL)])

    def test_unknownTasks(self):
        """What never was is unknown: 701 by number, 716 by GUID."""
        for name, code in ((77, 701), ("nothing", 716)):
            for call in (
                lambda name=name: self.transfers.query(name, 1),
                lambda name=name: self.transfers.cancel(name),
            ):
                self.assertEqual(self.assertRaises(Refused, call).code, code)

    def test_query(self):
        """QueryTransTaskInfo of what is over works too."""
        task = self.begin()
        self.say(TransferEnded(9, OK))
        for name in (9, task.guid):
            self.assertEqual(self.transfers.query(name, TransTaskInfo.STATUS), 3)
            self.assertEqual(self.transfers.query(name, 5), str(task.path))
            self.assertEqual(self.transfers.query(name, 4), "")
            facts = json.loads(self.transfers.query(name, 6))
            self.assertEqual((facts["taskid"], facts["filelength"]), (9, 1000))
        self.assertEqual(self.assertRaises(Refused, task.query, 7).code, 21)

    def test_remembered(self):
        """Not all that was is remembered."""
        self.patch(module, "REMEMBERED", 2)
        for number in (1, 2, 3):
            task = self.transfers.trans_buffer_ex(5, b"x")
            self.answer(TransferBegun(OK, number))
            self.say(TransferEnded(number, OK))
            self.assertTrue(task.over)
        self.assertRaises(Refused, self.transfers.query, 1, 1)
        self.assertEqual(self.transfers.query(2, 1), 100)

    def test_cap(self):
        """Option 46 holds all of it back."""
        self.transfers.bitrate_cap = 16 * CHUNK
        self.begin(content_of(10 * CHUNK))
        self.assertEqual(self.grant(0, 10 * CHUNK, True), [0])
        for number in range(1, 4):
            self.clock.advance(0.5)
            self.assertEqual(
                [m.offset for m in self.came() if isinstance(m, TransferData)],
                [number * CHUNK],
            )
        for wrong in (-1, 1 << 41):
            with self.assertRaises(Refused):
                self.transfers.bitrate_cap = wrong

    def test_options(self):
        """Options 46 and 229 are the cap and the largest file, in MB."""
        options = self.client.options
        for number, value, wrong in ((46, 500_000, -1), (229, 3, 0)):
            self.assertIsNone(self.successResultOf(options.set(number, value)))
            self.assertEqual(self.successResultOf(options.get(number)), value)
            failure = self.failureResultOf(options.set(number, wrong), Refused)
            self.assertEqual(failure.value.code, 21)
        self.assertEqual(
            (self.transfers.bitrate_cap, self.transfers.maximum), (500_000, 3 << 20)
        )

    def test_lostLink(self):
        """After a lost link it goes on where the server says, with no grant before."""
        task = self.begin(content_of(40 * CHUNK))
        self.assertEqual(len(self.grant(0, WINDOW, True)), 18)
        self.server.cut()
        self.clock.advance(1.0)
        self.assertEqual([m for m in self.came() if isinstance(m, TransferData)], [])
        offsets = self.grant(9 * CHUNK, 9 * CHUNK + WINDOW, True)
        self.assertEqual(offsets[0], 9 * CHUNK)
        self.assertEqual((len(offsets), task.sent_again), (18, 9 * CHUNK))

    def test_lostRequest(self):
        """A task that was asked for on a link that was lost is answered later."""
        task = self.transfers.trans_file(5, self.file(b"x"))
        self.server.flush()
        (request,) = [number for number, _ in self.server.side.take()]
        self.server.cut()
        self.clock.advance(1.0)
        self.server.flush()
        self.say(TransferBegun(OK, 9), request)
        self.assertEqual(task.task_id, 9)

    def test_lostSession(self):
        """After a lost session it is begun again, under its GUID."""
        task = self.begin(content_of(40 * CHUNK))
        self.grant(0, WINDOW, True)
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.clock.advance(1.0)
        (again,) = self.answer(TransferBegun(OK, 3))
        self.assertEqual(again, self.asked)
        self.say(TransferGrant(3, 20 * CHUNK, 21 * CHUNK, True))
        self.assertEqual([m.offset for m in self.came()], [20 * CHUNK])
        self.say(TransferEnded(3, OK))
        self.assertIs(self.successResultOf(self.outcome), task)

    def test_capLifted(self):
        """What waited for a low cap goes on when it is lifted."""
        self.transfers.bitrate_cap = 100
        self.begin(content_of(4 * 4096))
        self.assertEqual(self.grant(0, 4 * 4096, True), [0])
        self.transfers.bitrate_cap = 0
        self.assertEqual(len(self.came()), 3)

    def test_strangeName(self):
        """A file whose name is no text can be sent; it is called something like it."""
        path = self.file(b"abc", name=os.fsdecode(b"a\xd6\xd0.txt"))
        self.transfers.trans_file(5, path)
        (asked,) = self.came()
        self.assertEqual(asked.file_name, "a??.txt")

    def test_cancelledAfterLostSession(self):
        """The number that a task had in a lost session is not its own any more."""
        task = self.begin()
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.clock.advance(1.0)
        self.came()
        self.transfers.cancel(task)
        self.assertFails(task, 6)
        self.assertEqual(
            [m for m in self.came() if isinstance(m, EndTransfer)],
            [],
        )

    def test_resync(self):
        """What the server does not name after a resync is over."""
        self.begin()
        other = self.transfers.trans_buffer_ex(5, b"x")
        self.answer(TransferBegun(OK, 10))
        self.say(Resync(7, 0))
        self.say(TransferTasks((9,)))
        self.assertFails(other, 701)
        self.assertNoResult(self.outcome)

    def test_closed(self):
        """With the session all tasks end."""
        task = self.begin()
        self.client.close()
        self.assertFails(task, 6)

    def test_fairness(self):
        """No task waits for the end of another one."""
        for number in (1, 2):
            self.transfers.trans_buffer_ex(5, content_of(10 * CHUNK))
            self.answer(TransferBegun(OK, number))
        link = self.transfers._link
        link.pauseProducing()
        for number in (1, 2):
            self.say(TransferGrant(number, 0, 10 * CHUNK, True))
        self.assertEqual(self.came(), [])
        write, senders = link._write, []

        def one_at_a_time(data):
            write(data)
            link.pauseProducing()

        link._write = one_at_a_time
        for _ in range(6):
            link.resumeProducing()
            senders += [message.task_id for message in self.came()]
        self.assertEqual(senders, [1, 2, 1, 2, 1, 2])

    def test_grantTooFar(self):
        """A server that grants more than there is breaks the protocol."""
        self.begin()
        self.say(TransferGrant(9, 0, 1001, True))
        self.assertTrue(self.server.side.lost)


class ReceivingTests(TransfersCase):
    """What others send."""

    def offer(self, task_id=4, kind=FILE, *, length, name="a.txt", guid="g", source=5):
        """Somebody sends something."""
        self.say(
            TransferOffered(task_id, source, kind, guid, name, length, 1, 2, 3, "note")
        )

    def send(self, content, task_id=4, start=0):
        """The chunks of it."""
        for chunk in chunks_of(content, start=start):
            self.server.side.send(
                TransferPortion(task_id, chunk.offset, chunk.digest, chunk.data)
            )
        self.server.flush()

    def arrive(self, content, **more):
        """All of it; what the client says."""
        self.offer(length=len(content), **more)
        self.send(content, more.get("task_id", 4))
        return self.came()

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

    def test_directory(self):
        """Paths may be texts; what is no path is refused."""
        self.transfers.directory = text = self.mktemp()
        self.arrive(b"abc")
        self.assertEqual((Path(text) / "a.txt").read_bytes(), b"abc")
        for wrong in (None, 5, b"a", "a\0b"):
            self.assertRaises(Refused, setattr, self.transfers, "directory", wrong)
        self.assertEqual(self.transfers.directory, Path(text))

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

    def test_noFiles(self):
        """Who wants no files of others still has their buffers."""
        self.transfers.accept = no_files
        self.offer(length=3)
        self.assertEqual(self.came(), [EndTransfer(4, FILE, ResultCode.CANCEL)])
        self.arrive(b"abc", kind=BUFFER, task_id=5)
        self.assertEqual(len(self.told("on_trans_buffer_ex")), 1)

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

    def test_strangeChunks(self):
        """Chunks of nothing are ignored, and do no harm."""
        self.send(b"abc", 99)
        self.offer(length=2)
        self.send(b"abc")
        self.assertEqual(self.came(), [TransferTaken(4, 0, True)])
        self.transfers.cancel(4)
