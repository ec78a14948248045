"""Tests of `anychat.core.transfers`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Arbiter,
    FetchFile,
    OnTransBufferEx,
    OnTransFile,
    TransBufferEx,
    TransFile,
)
from anychat.codes import ResultCode, TransferKind
from anychat.core import transfers
from anychat.core.commands import BufferPortion, FilterCall, TransferFinished
from anychat.core.effects import (
    FeedTransfer,
    OfferPortion,
    ReadStored,
    Reply,
    ResumeTransfers,
    Send,
    StartTransfer,
    StopTransfer,
    SuspendTransfers,
)
from anychat.core.hall import Hall
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    Logout,
    Result,
    TransferBegun,
    TransferEnded,
    TransferOffered,
    TransferTasks,
)
from test.core.driver import DEMO, Driver, sent

BUFFER, FILE, FILE_EX = TransferKind


def wish(target, kind=FILE, *, guid="g", length=1000, name="a.txt"):
    """A `BeginTransfer`."""
    return BeginTransfer(target, kind, guid, name, length, 1, 2, 3, "note")


class TransfersCase(SynchronousTestCase):
    """Ann and Ben are signed in."""

    def setUp(self):
        self.driver = Driver()
        self.ann, self.ben = self.driver.login("ann"), self.driver.login("ben")
        self.ben_id = self.driver.user(self.ben)

    @property
    def state(self):
        """The core's state."""
        return self.driver.state

    def begin(self, target=None, **more):
        """Ann begins a task; its number."""
        message = wish(self.ben_id if target is None else target, **more)
        reply = self.driver.ask(self.ann, message)[0]
        self.assertEqual(reply.message.code, 0)
        return reply.message.task_id


class BeginTests(TransfersCase):
    """Who may send what to whom."""

    def test_toUser(self):
        """The sender gets a number, the receiver an offer, the shell the order."""
        reply, start, offer = self.driver.ask(self.ann, wish(self.ben_id))
        self.assertEqual(reply, Reply(self.ann, 7, TransferBegun(ResultCode(0), 1)))
        self.assertIsInstance(start, StartTransfer)
        self.assertEqual(start.transfer, self.state.transfers[1])
        self.assertEqual(
            (start.transfer.source, start.transfer.sink), (self.ann, self.ben)
        )
        self.assertEqual(
            offer,
            Send(
                (self.ben,),
                TransferOffered(1, 1, FILE, "g", "a.txt", 1000, 1, 2, 3, "note"),
            ),
        )

    def test_toServer(self):
        """A file for the server needs nobody else."""
        _, start = self.driver.ask(self.ann, wish(0))
        self.assertIsNone(start.transfer.sink)

    def refused(self, message):
        """The code of a refusal, which leaves nothing behind."""
        before = self.driver.hall.snapshot()
        reply = self.driver.answer(self.ann, message)
        self.assertEqual(self.driver.hall.snapshot(), before)
        self.assertIsInstance(reply, TransferBegun)
        self.assertEqual(reply.task_id, 0)
        return int(reply.code)

    def test_wrongTargets(self):
        """Unknown, offline and impossible targets get 205, oneself 21."""
        gone = self.driver.login("cat")
        gone_id = self.driver.user(gone)
        self.driver.ask(gone, Logout())
        for target in (99, -1, -77, gone_id):
            for kind in TransferKind:
                self.assertEqual(self.refused(wish(target, kind)), 205)
        self.assertEqual(self.refused(wish(self.driver.user(self.ann))), 21)

    def test_lengths(self):
        """Buffers have 1 byte to 1 MiB, files 1 byte to what is configured."""
        for length in (0, transfers.MAX_BUFFER_EX + 1):
            self.assertEqual(self.refused(wish(self.ben_id, BUFFER, length=length)), 21)
        for kind in (FILE, FILE_EX):
            self.assertEqual(self.refused(wish(self.ben_id, kind, length=0)), 711)
            large = DEMO.max_file_size + 1
            self.assertEqual(self.refused(wish(self.ben_id, kind, length=large)), 712)
        self.begin(kind=BUFFER, length=transfers.MAX_BUFFER_EX)
        self.begin(guid="h", length=DEMO.max_file_size)

    def test_bufferWithoutBusinessServer(self):
        """A buffer for the business server needs one: 206."""
        self.assertEqual(self.refused(wish(0, BUFFER)), 206)
        self.driver.arbiters(hears=True)
        self.begin(0, kind=BUFFER)

    def test_guids(self):
        """A task has a GUID (11), which no other one of the session has (700)."""
        self.assertEqual(self.refused(wish(self.ben_id, guid="")), 11)
        self.begin()
        self.assertEqual(self.refused(wish(self.ben_id)), 700)
        reply = self.driver.ask(self.ben, wish(self.driver.user(self.ann)))[0]
        self.assertEqual(reply.message.code, 0)

    def test_aThousand(self):
        """A session may have 1024 tasks under way, and gets 700 for one more."""
        for number in range(transfers.MAX_SENDING):
            self.begin(guid=str(number))
        self.assertEqual(self.refused(wish(self.ben_id, guid="more")), 700)
        self.driver.ask(self.ann, EndTransfer(5, FILE, ResultCode.CANCEL))
        self.begin(guid="more")

    def test_tooManyForReceiver(self):
        """Nobody gets more than 4096 at a time."""
        self.patch(transfers, "MAX_RECEIVING", 2)
        self.begin(guid="1")
        self.begin(guid="2")
        self.assertEqual(self.refused(wish(self.ben_id, guid="3")), 700)

    def test_crowd(self):
        """When half of it is used up, those with many tasks get no more: 700."""
        self.patch(transfers, "MAX_RECEIVING", 8)
        self.patch(transfers, "FEW_SENDING", 3)
        for number in range(4):
            self.begin(guid=str(number))
        self.assertEqual(self.refused(wish(self.ben_id, guid="4")), 700)
        self.begin(0, guid="5")
        ann, self.ann = self.ann, self.driver.login("cat")
        self.begin(guid="6")
        self.patch(transfers, "MAX_TRANSFERS", 12)
        self.ann = ann
        self.assertEqual(self.refused(wish(0, guid="7")), 700)

    def test_tooManyInAll(self):
        """There is a bound over all of them."""
        self.patch(transfers, "MAX_TRANSFERS", 1)
        self.begin(guid="1")
        self.assertEqual(self.refused(wish(self.ben_id, guid="2")), 700)

    def test_numbersComeAround(self):
        """After the last number comes the first that is free."""
        self.begin(guid="1")
        self.state.next_transfer = 2**32 - 1
        self.assertEqual(self.begin(guid="2"), 2**32 - 1)
        self.assertEqual(self.begin(guid="3"), 2)


class EndTests(TransfersCase):
    """How tasks end."""

    def test_arrived(self):
        """The receiver has it: the sender is told."""
        task = self.begin()
        effects = self.driver.ask(self.ben, EndTransfer(task, FILE, ResultCode(0)))
        self.assertEqual(
            effects,
            [
                Reply(self.ben, 7, Result(ResultCode(0))),
                StopTransfer(task, ResultCode(0)),
                Send((self.ann,), TransferEnded(task, ResultCode(0))),
            ],
        )
        self.assertEqual(self.state.transfers, {})

    def test_cancelled(self):
        """Either end may give up, once: the second time it is 701 or 716."""
        for kind, code in ((BUFFER, 701), (FILE, 716), (FILE_EX, 716)):
            for this, that in ((self.ann, self.ben), (self.ben, self.ann)):
                task = self.begin(kind=kind)
                message = EndTransfer(task, kind, ResultCode.CANCEL)
                effects = self.driver.ask(this, message)
                ended = TransferEnded(task, ResultCode.CANCEL)
                self.assertEqual(sent(effects, that), [ended])
                self.assertEqual(sent(effects, this), [])
                for session in (this, that):
                    self.assertEqual(self.driver.code(session, message), code)

    def test_notYours(self):
        """A task of others cannot be ended, nor one that never was."""
        task, cat = self.begin(), self.driver.login("cat")
        for number in (task, 99, 0):
            message = EndTransfer(number, FILE, ResultCode.CANCEL)
            self.assertEqual(self.driver.code(cat, message), 716)
        self.assertIn(task, self.state.transfers)

    def test_senderCannotSayDone(self):
        """Only the receiver knows that it has everything."""
        message = EndTransfer(self.begin(), FILE, ResultCode.SUCCESS)
        self.assertEqual(self.driver.code(self.ann, message), 21)

    def test_sessionsEnd(self):
        """Who vanishes takes its tasks along: 715 for a file, 701 for a buffer."""
        file, buffer = self.begin(), self.begin(kind=BUFFER, guid="h")
        self.driver.lose(self.ben)
        effects = self.driver.wait(DEMO.hold_time)
        self.assertEqual(
            sent(effects, self.ann),
            [
                TransferEnded(file, ResultCode.TRANSFILE_FAILED),
                TransferEnded(buffer, ResultCode.TRANSBUF_NOTASK),
            ],
        )
        self.assertEqual(self.state.transfers, {})

    def test_stored(self):
        """A file that the server has is told the sender and the business server."""
        task = self.begin(0)
        effects = self.driver.run(
            TransferFinished(task, ResultCode.SUCCESS, path="/t/1/a.txt")
        )
        ended = TransferEnded(task, ResultCode.SUCCESS)
        self.assertEqual(sent(effects, self.ann), [ended])
        self.assertEqual(
            self.driver.told[-1],
            OnTransFile(1, "a.txt", "/t/1/a.txt", 1000, 1, 2, task),
        )

    def test_handedOver(self):
        """A buffer for the business server is offered in portions, and then done."""
        self.driver.arbiters(hears=True)
        task = self.begin(0, kind=BUFFER, length=900)
        user_id = self.state.sessions[self.ann].user_id
        for offset in (0, 450):
            event = OnTransBufferEx(user_id, 1, 2, task, 900, offset, b"x" * 450)
            self.assertEqual(
                self.driver.run(BufferPortion(task, offset, b"x" * 450)),
                [OfferPortion(task, event)],
            )
        effects = self.driver.run(TransferFinished(task, ResultCode.SUCCESS))
        self.assertEqual(
            sent(effects, self.ann), [TransferEnded(task, ResultCode.SUCCESS)]
        )
        self.assertEqual(self.driver.run(BufferPortion(task, 0, b"x")), [])

    def test_failedAtServer(self):
        """A full disk is the sender's 715, and nobody else hears of it."""
        task = self.begin(0)
        told = len(self.driver.told)
        finished = TransferFinished(task, ResultCode.TRANSFILE_FAILED)
        effects = self.driver.run(finished)
        ended = TransferEnded(task, ResultCode.TRANSFILE_FAILED)
        self.assertEqual(sent(effects, self.ann), [ended])
        self.assertEqual(len(self.driver.told), told)
        self.assertEqual(self.driver.run(finished), [])


class LinkTests(TransfersCase):
    """What lost links do to tasks."""

    def test_lostAndResumed(self):
        """Tasks of either end wait for a link and go on with it."""
        self.assertEqual(self.driver.lose(self.ann), [])
        self.driver.resume(self.ann)
        self.begin()
        for session in (self.ann, self.ben):
            self.assertEqual(self.driver.lose(session), [SuspendTransfers(session)])
            self.assertEqual(self.driver.resume(session), [ResumeTransfers(session)])

    def test_clientNoticesFirst(self):
        """What a link carried is lost, too, when another one takes its place."""
        self.begin()
        for session in (self.ann, self.ben):
            self.assertEqual(
                self.driver.resume(session),
                [SuspendTransfers(session), ResumeTransfers(session)],
            )

    def test_resync(self):
        """After a resync the tasks are named, and offers made again."""
        task = self.begin()
        effects = self.driver.resume(self.ben, resync=True)
        self.assertEqual(sent(effects, self.ben)[-2], TransferTasks((task,)))
        self.assertIsInstance(sent(effects, self.ben)[-1], TransferOffered)
        self.assertEqual(effects[-1], ResumeTransfers(self.ben))
        effects = self.driver.resume(self.ann, resync=True)
        self.assertEqual(sent(effects, self.ann)[-1], TransferTasks((task,)))

    def test_snapshot(self):
        """A snapshot has the tasks, and the numbers that are used up."""
        self.begin(guid="1")
        self.begin(0, guid="2")
        self.driver.ask(self.ann, EndTransfer(2, FILE, ResultCode.CANCEL))
        copy = Hall(DEMO)
        for change in self.driver.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.state)

    def test_nothingStaysBehind(self):
        """When all are gone the state is a fresh one's, its counters apart."""
        self.begin()
        self.begin(0, guid="2")
        self.driver.call(TransFile(self.ben_id, "f", 0, 0, 0, 0, 9, 0, b"x"))
        for session in (self.ann, self.ben):
            self.driver.ask(session, Logout())
        state, fresh = self.state, Hall(DEMO).state
        fresh.next_transfer = state.next_transfer
        fresh.next_user_id = state.next_user_id
        fresh.names, fresh.offline = state.names, state.offline
        self.assertEqual(state, fresh)

    def test_changesTellNoContent(self):
        """No change has a byte of what is sent."""
        self.driver.call(TransFile(self.ben_id, "f", 0, 0, 0, 0, 9, 0, b"sekret"))
        self.driver.call(TransFile(self.ben_id, "f", 0, 0, 0, 1, 9, 6, b"abc"))
        self.assertNotIn("sekret", repr(self.driver.journal))


class BusinessTests(TransfersCase):
    """What business servers send and fetch."""

    def setUp(self):
        super().setUp()
        self.driver.arbiters(Arbiter.THERE, hears=True)

    def buffer(self, data=b"abc", *, user=None, task=0, length=6, offset=0):
        """Effects and answer of a portion of a buffer."""
        user = self.ben_id if user is None else user
        return self.driver.call(
            TransBufferEx(user, 1, 2, 3, task, length, offset, data)
        )

    def test_buffer(self):
        """The first portion begins the task, the next ones feed it."""
        (start, offer, feed), answer = self.buffer()
        self.assertEqual((answer.code, answer.task_id), (0, 1))
        self.assertIsInstance(start, StartTransfer)
        self.assertEqual(offer.message.source, 0)
        self.assertEqual(feed, FeedTransfer(1, 0, b"abc"))
        effects, answer = self.buffer(b"def", task=1, offset=3)
        self.assertEqual(effects, [FeedTransfer(1, 3, b"def")])
        self.assertEqual(answer.task_id, 1)
        effects = self.driver.ask(self.ben, EndTransfer(1, BUFFER, ResultCode(0)))
        self.assertEqual(sent(effects, self.ann), [])

    def test_words(self):
        """Parameters of 32 bits come through, said with or without a sign."""
        call = TransBufferEx(self.ben_id, 2**32 - 1, 2**31, -1, 0, 1, 0, b"x")
        _, offer, _ = self.driver.call(call)[0]
        message = offer.message
        self.assertEqual((message.wparam, message.lparam), (-1, -(2**31)))
        self.assertEqual(message.flags, 2**32 - 1)

    def test_refused(self):
        """Portions that cannot be are refused, and begin nothing."""
        for more, code in (
            ({"user": 99}, 205),
            ({"user": 0}, 205),
            ({"length": 0}, 21),
            ({"length": 2}, 21),
            ({"length": (1 << 20) + 1}, 21),
            ({"offset": 1}, 21),
            ({"data": b""}, 21),
            ({"task": 9}, 701),
        ):
            effects, answer = self.buffer(**more)
            self.assertEqual((effects, answer.code), ([], code), more)
        self.assertEqual(self.state.transfers, {})
        self.buffer()
        for more in ({"length": 7}, {"offset": 5}, {"data": b""}):
            self.assertEqual(self.buffer(task=1, **more)[1].code, 21, more)

    def test_notItsTask(self):
        """A task of a client is not fed by anybody."""
        task = self.begin()
        _, answer = self.driver.call(
            TransFile(self.ben_id, "f", 0, 0, 0, task, 1000, 0, b"x")
        )
        self.assertEqual(answer.code, 716)

    def test_tooMany(self):
        """Business servers have a bound of their own."""
        self.patch(transfers, "MAX_OF_BUSINESS", 1)
        self.buffer()
        self.assertEqual(self.buffer()[1].code, 700)

    def test_fetch(self):
        """What is in a file only the shell can answer."""
        (effect,) = self.driver.run(FilterCall(5, FetchFile(3, 10, 20)))
        self.assertEqual(effect, ReadStored(5, 3, 10, 20))
