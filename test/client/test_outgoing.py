"""Tests of `anychat.client.outgoing`."""

import os
from pathlib import Path

from anychat.codes import ResultCode, TransTaskInfo
from anychat.errors import Refused
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    TransferBegun,
    TransferData,
    TransferEnded,
    TransferGrant,
)
from anychat.transfers.chunks import CHUNK, WINDOW
from test.client.transfer_case import BUFFER, FILE, FILE_EX, OK, SendingCase
from test.transfers.bench import chunks_of, content_of


class SendingTests(SendingCase):
    """What this client sends."""

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

    def test_wrongArguments(self):
        """What no task can be made of is refused with 21, and nobody is asked."""
        transfers, path = self.transfers, self.file(b"x")
        for call in (
            lambda: transfers.trans_buffer_ex(5, "abc"),
            lambda: transfers.trans_buffer_ex(5, None),
            lambda: transfers.trans_buffer_ex(5, 3),
            lambda: transfers.trans_buffer_ex(5, b"x", 1 << 32),
            lambda: transfers.trans_buffer_ex(5, b"x", 0, -(1 << 31) - 1),
            lambda: transfers.trans_buffer_ex(5, b"x", flags="1"),
            lambda: transfers.trans_file(5, None),
            lambda: transfers.trans_file(5, 0),
            lambda: transfers.trans_file(5, b"path"),
            lambda: transfers.trans_file(5, path, 1.5),
            lambda: setattr(transfers, "bitrate_cap", "x"),
        ):
            error = self.assertRaises(Refused, call)
            self.assertEqual(error.code, ResultCode.FUNCOPTERROR)
        self.assertEqual((self.came(), transfers.tasks), ([], ()))

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

    def test_cancelEarly(self):
        """What is cancelled before it has a number is cancelled when it has one."""
        task = self.transfers.trans_file(5, self.file(b"x"))
        self.transfers.cancel(task)
        self.assertFails(task, 6)
        self.answer(TransferBegun(OK, 9))
        self.assertEqual(self.came(), [EndTransfer(9, FILE, ResultCode.CANCEL)])

    def test_capRaised(self):
        """What went out under a low cap does not hold back the next task."""
        self.transfers.bitrate_cap = 1
        task = self.begin(content_of(4096))
        self.assertEqual(self.grant(0, 4096, True), [0])
        self.transfers.cancel(task)
        self.came()
        self.transfers.bitrate_cap = 8_000_000
        self.begin(content_of(4096))
        self.assertEqual(self.grant(0, 4096, True), [0])

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

    def test_fairness(self):
        """No task waits for the end of another one."""
        for number in (1, 2):
            self.transfers.trans_buffer_ex(5, content_of(10 * CHUNK))
            self.answer(TransferBegun(OK, number))
        link = self.transfers._link.link
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
