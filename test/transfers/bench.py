"""Stands in for threads, disks and links in the tests of transfers."""

import hashlib
from collections import deque

from twisted.internet.defer import Deferred, maybeDeferred

from anychat.transfers.chunks import CHUNK, Chunk


def at_once(work, *arguments):
    """Do in no thread what a thread is meant to do."""
    return maybeDeferred(work, *arguments)


class Threads:
    """Work that is done when the test says so, in the order of its coming."""

    def __init__(self):
        self._work = deque()

    def __call__(self, work, *arguments):
        done = Deferred()
        self._work.append((done, work, arguments))
        return done

    def run(self):
        """Do what waits, and what comes of that."""
        while self._work:
            self.step()

    def step(self):
        """Do one piece of work."""
        done, work, arguments = self._work.popleft()
        maybeDeferred(work, *arguments).chainDeferred(done)

    def __len__(self):
        return len(self._work)


def chunks_of(content, size=CHUNK, start=0):
    """What a right sender makes of some content."""
    digest = hashlib.sha256(content[:start])
    for offset in range(start, len(content), size):
        data = content[offset : offset + size]
        digest.update(data)
        yield Chunk(offset, digest.digest(), data)


def content_of(length):
    """Bytes that are all different from what stands elsewhere."""
    pattern = b"".join(number.to_bytes(4, "big") for number in range(length // 4 + 1))
    return pattern[:length]
