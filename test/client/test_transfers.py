"""Tests of `anychat.client.transfers`."""

import json
from pathlib import Path

from anychat.client import transfers as module
from anychat.client.transfers import no_files
from anychat.codes import ResultCode, TransTaskInfo
from anychat.errors import Refused
from anychat.messages import (
    EndTransfer,
    Resync,
    TransferBegun,
    TransferEnded,
    TransferTasks,
)
from test.client.transfer_case import (
    BUFFER,
    FILE,
    OK,
    ReceivingCase,
    SendingCase,
)


class CallTests(SendingCase):
    """What the program may ask of tasks."""

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


class RuleTests(ReceivingCase):
    """What it takes of others."""

    def test_directory(self):
        """Paths may be texts; what is no path is refused."""
        self.transfers.directory = text = self.mktemp()
        self.arrive(b"abc")
        self.assertEqual((Path(text) / "a.txt").read_bytes(), b"abc")
        for wrong in (None, 5, b"a", "a\0b"):
            self.assertRaises(Refused, setattr, self.transfers, "directory", wrong)
        self.assertEqual(self.transfers.directory, Path(text))

    def test_noFiles(self):
        """Who wants no files of others still has their buffers."""
        self.transfers.accept = no_files
        self.offer(length=3)
        self.assertEqual(self.came(), [EndTransfer(4, FILE, ResultCode.CANCEL)])
        self.arrive(b"abc", kind=BUFFER, task_id=5)
        self.assertEqual(len(self.told("on_trans_buffer_ex")), 1)
