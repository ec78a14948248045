"""The terminal: what is typed there."""

import os
import pty
import signal

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from anychat.terminal import QuitKey


class Readers:
    """The part of a reactor that watches descriptors."""

    def __init__(self) -> None:
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        """Watch."""
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        """Watch no longer."""
        if reader in self.readers:
            self.readers.remove(reader)


class QuitKeyTests(SynchronousTestCase):
    """What is typed at the terminal."""

    def setUp(self):
        handler = signal.getsignal(signal.SIGTTIN)
        self.addCleanup(signal.signal, signal.SIGTTIN, handler)
        self.read, self.write = os.pipe()
        self.addCleanup(os.close, self.read)
        self.reactor = Readers()
        self.quits = []
        self.key = QuitKey(self.reactor, lambda: self.quits.append(1), self.read)
        self.key.start()

    def type(self, data: bytes) -> None:
        """Type something and have it read."""
        os.write(self.write, data)
        self.key.doRead()

    def test_interface(self):
        """It is what a reactor watches."""
        verifyObject(IReadDescriptor, self.key)
        self.assertEqual(self.key.fileno(), self.read)
        self.assertEqual(self.reactor.readers, [self.key])

    def test_quit(self):
        """q and Enter end the server, once, and nothing is read after it."""
        self.addCleanup(os.close, self.write)
        self.type(b"q\nq\n")
        self.assertEqual(self.quits, [1])
        self.assertEqual(self.reactor.readers, [])

    def test_inPieces(self):
        """The line counts, however it arrives; capital Q and spaces are fine."""
        self.addCleanup(os.close, self.write)
        self.type(b"hello\n ")
        self.type(b"Q")
        self.assertEqual(self.quits, [])
        self.type(b" \n")
        self.assertEqual(self.quits, [1])

    def test_otherLines(self):
        """Other words do nothing, nor does q without Enter."""
        self.addCleanup(os.close, self.write)
        for data in (b"quit\n", b"\n", b"x" * 5000, b"q", b"\n", b"q"):
            self.type(data)
        self.assertEqual(self.quits, [])
        self.assertEqual(self.reactor.readers, [self.key])

    def test_endOfInput(self):
        """A closed standard input ends the watching, not the server."""
        os.close(self.write)
        self.key.doRead()
        self.key.connectionLost(Failure(EOFError()))
        self.assertEqual(self.quits, [])
        self.assertEqual(self.reactor.readers, [])

    def test_lostTerminal(self):
        """A terminal that cannot be read any more is like the end of input."""
        self.addCleanup(os.close, self.write)
        leader, follower = pty.openpty()
        os.close(follower)
        key = QuitKey(self.reactor, lambda: self.quits.append(1), leader)
        self.reactor.addReader(key)
        key.doRead()
        os.close(leader)
        self.assertEqual(self.quits, [])
        self.assertEqual(self.reactor.readers, [self.key])
