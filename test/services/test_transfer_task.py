"""Tests of `anychat.services.transfer_task`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import TransferKind
from anychat.services.transfer_task import gone


class CodeTests(SynchronousTestCase):
    """What has failed."""

    def test_codes(self):
        """What has no other end any more has a code of its kind."""
        self.assertEqual([int(gone(kind)) for kind in TransferKind], [701, 715, 715])
