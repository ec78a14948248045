"""Tests for `anychat.client.media.strand`."""

import threading

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anychat.client.media.strand import Strand, ThreadWorkers
from test.client.media.bench import InlineWorkers


class StrandTests(SynchronousTestCase):
    """Order, and what becomes of jobs at the end."""

    def setUp(self):
        self.jobs, self.log, self.results = [], [], []
        self.strand = Strand(
            lambda job, report: self.jobs.append((job, report)), self.log.append
        )

    def work(self):
        """Let the job under way end."""
        job, report = self.jobs.pop(0)
        report(True, job())

    def test_oneAtATime(self):
        """The next job begins when the one before has ended."""
        for number in range(3):
            self.strand.submit(lambda n=number: n, self.results.append)
        self.assertEqual((len(self.jobs), self.strand.pending), (1, 3))
        while self.jobs:
            self.work()
        self.assertEqual(self.results, [0, 1, 2])
        self.assertEqual(self.strand.pending, 0)

    def test_close(self):
        """Jobs that wait are forgotten; closing waits for the one under way."""
        for number in range(3):
            self.strand.submit(lambda n=number: n, self.results.append)
        closed = self.strand.close()
        self.assertNoResult(closed)
        self.work()
        self.successResultOf(closed)
        self.assertEqual(self.results, [0])
        self.strand.submit(lambda: 9, self.results.append)
        self.assertEqual(self.jobs, [])

    def test_finish(self):
        """Jobs that wait are done; there are no more after them."""
        for number in range(3):
            self.strand.submit(lambda n=number: n, self.results.append)
        finished = [self.strand.finish(), self.strand.finish()]
        while self.jobs:
            self.assertNoResult(finished[0])
            self.work()
        self.successResultOf(gatherResults(finished))
        self.assertEqual(self.results, [0, 1, 2])

    def test_fault(self):
        """A job that raises is logged, and does not stop the next one."""
        strand = InlineWorkers(self.log.append).strand()
        strand.submit(lambda: 1 // 0, self.results.append)
        strand.submit(lambda: 1, self.results.append)
        self.assertEqual(self.results, [1])
        self.assertIn("ZeroDivisionError", self.log[0])

    def test_deep(self):
        """Jobs that are done at once do not pile up the stack."""
        strand = InlineWorkers(self.log.append).strand()

        def again(number):
            self.results.append(number)
            if number < 5000:
                strand.submit(lambda: number + 1, again)

        strand.submit(lambda: 0, again)
        self.assertEqual(len(self.results), 5001)


class ThreadTests(TestCase):
    """Real threads."""

    def test_threads(self):
        """Jobs run elsewhere, in order; results come in the reactor's thread."""
        workers = ThreadWorkers(reactor, self.fail)
        self.addCleanup(workers.stop)
        here = threading.get_ident()
        ends = []
        for _ in range(3):
            strand, seen, end = workers.strand(), [], Deferred()
            for number in range(100):

                def done(result, seen=seen, end=end):
                    self.assertEqual(threading.get_ident(), here)
                    seen.append(result[0])
                    self.assertNotEqual(result[1], here)
                    if len(seen) == 100:
                        end.callback(seen)

                strand.submit(lambda n=number: (n, threading.get_ident()), done)
            ends.append(end)

        def check(results):
            self.assertEqual(results, [list(range(100))] * 3)

        return gatherResults(ends).addCallback(check)
