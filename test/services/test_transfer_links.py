"""Tests of `anychat.services.transfer_links`."""

from anychat.transfers.chunks import CHUNK
from test.services.transfer_case import BEN, CAT, TransferCase
from test.transfers.bench import chunks_of, content_of


class LinkTests(TransferCase):
    """Chunks that wait for a link."""

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
