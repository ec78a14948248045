"""Tests of `anychat.services.transfer_patience`."""

from anychat.codes import TransferKind
from anychat.services.transfer_patience import PATIENCE
from anychat.transfers.chunks import CHUNK
from test.services.transfer_case import ANN, CAT, TransferCase
from test.transfers.bench import chunks_of, content_of


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
