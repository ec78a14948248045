"""The bench's own programs, for a moment each."""

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from benchmarks.peers import own, plain
from benchmarks.peers.measure import Load
from benchmarks.peers.running import Running, Skipped, generate


class GeneratorTests(SynchronousTestCase):
    """Relays under the generator; so slowly that any machine keeps up."""

    def check(self, running: Running, copies: int, **options: object) -> None:
        """Every copy comes, counted by the kernel and by reading."""
        try:
            for drain in (False, True, False):
                reading = generate(running, 500, 0.2, burst=2, drain=drain, **options)
                self.assertGreater(reading.sent, 50)
                self.assertEqual(reading.expected, reading.sent * copies)
                self.assertEqual(reading.copies, reading.expected)
                self.assertGreater(reading.cpu, 0)
                self.assertEqual(reading.p50 is not None, drain)
        finally:
            running.close()

    def start(self, begin, *arguments) -> Running:
        """A relay, if it can be had here."""
        try:
            return begin(*arguments)
        except Skipped as reason:
            raise SkipTest(str(reason)) from None

    def test_plainRelay(self):
        """The plain C relay forwards each stream to its receivers."""
        self.check(self.start(plain.run, Load("", 2, 3, 2)), 3)

    def test_ourRelay(self):
        """Our own does, audio and gated video."""
        load = Load("", 2, 3, 2)
        for video in (False, True):
            variant = own.Variant(native=False, video=video)
            self.check(self.start(own.run, load, variant), 3, marking=video)
