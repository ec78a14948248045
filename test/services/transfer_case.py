"""A transfer service with three sessions, whose links the tests hold."""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import TransferKind
from anychat.core.state import Transfer
from anychat.protocols.framing import UNNUMBERED, FrameReader
from anychat.services.store import FileStore, StoreSettings
from anychat.services.transfers import TransferService
from anychat.transfers.chunks import (
    CHUNK,
    Taken,
    decode_chunk,
    decode_grant,
    encode_chunk,
    encode_taken,
)
from test.transfers.bench import at_once, chunks_of

DATA, PORTION, TAKEN, GRANT = sorted(UNNUMBERED)
ANN, BEN, CAT = 1, 2, 3


class Session:
    """A session as its link has it."""

    def __init__(self, id):
        self.id = id

    def last_taken(self):
        """The last frame taken."""
        return 41


class Link:
    """A link whose client reads, or does not."""

    def __init__(self, id):
        self.session = Session(id)
        self.behind = self.closed = False
        self.room = None
        self.frames = []

    def write(self, data):
        """Take a frame; fall behind when there is no more room."""
        assert not self.behind
        (frame,) = FrameReader().receive(data)
        assert (frame.seq, frame.ack, frame.request) == (0, 41, 0)
        self.frames.append(frame)
        if self.room is not None:
            self.room -= 1
            self.behind = self.room <= 0

    def take(self):
        """What came since the last call: chunks and grants."""
        frames, self.frames = self.frames, []
        return [
            decode_chunk(frame.body)
            if frame.type == PORTION
            else decode_grant(frame.body)
            for frame in frames
        ]


class Links:
    """The clients' links."""

    def __init__(self, *sessions):
        self.carried = {}
        self.eased = []
        self.links = {session: Link(session) for session in sessions}

    def link_of(self, session):
        """The link of a session."""
        return self.links.get(session)


class TransferCase(SynchronousTestCase):
    """A service with three sessions."""

    def setUp(self):
        self.clock = Clock()
        self.links = Links(ANN, BEN, CAT)
        self.commands = []
        self.answers = []
        self.directory = Path(self.mktemp())
        self.make_service()

    def make_service(self, **more):
        """A service whose store has these settings."""
        settings = {
            "user_quota": 1 << 30,
            "total_quota": 1 << 30,
            "part_time": 3600.0,
            "file_time": 7200.0,
            **more,
        }
        self.store = FileStore(
            StoreSettings(directory=self.directory, **settings), self.clock.seconds
        )
        self.service = TransferService(
            self.clock,
            self.links,
            self.commands.append,
            lambda number, answer: self.answers.append((number, answer)),
            self.store,
            at_once,
            lambda: None,
        )

    def begin(
        self,
        task_id=1,
        source=ANN,
        sink=BEN,
        *,
        length=100 * CHUNK,
        kind=TransferKind.FILE,
        name="a.txt",
    ):
        """Begin a transfer."""
        transfer = Transfer(
            id=task_id,
            kind=kind,
            guid=f"guid {task_id}",
            source=source,
            source_id=source or 0,
            sink=sink,
            target_id=sink or 0,
            file_name=name,
            length=length,
            wparam=0,
            lparam=0,
            flags=0,
            text="",
        )
        self.service.start(transfer)
        return transfer

    def take(self, offset, *, task_id=1, session=BEN, restart=False):
        """The receiver has so much."""
        body = encode_taken(Taken(task_id, offset, restart))
        return self.links.carried[TAKEN](Session(session), body)

    def send(self, chunk, *, task_id=1, session=ANN):
        """A chunk of the sender's."""
        return self.links.carried[DATA](Session(session), encode_chunk(task_id, chunk))

    def came(self, session):
        """What a session's client got."""
        return self.links.links[session].take()

    def lose(self, session):
        """A session's link is gone."""
        del self.links.links[session]
        self.service.suspend(session)

    def resume(self, session):
        """It has another one."""
        self.links.links[session] = Link(session)
        self.service.resume(session)

    def assertNothingLeft(self):
        """The service is as a fresh one, counters apart."""
        windows, links = self.service._windows, self.service._links
        self.assertEqual(
            (self.service._tasks, windows._receivers, windows._senders),
            ({}, {}, {}),
        )
        self.assertEqual((windows.active, links._waiting), (0, {}))


class StoreCase(TransferCase):
    """Files and buffers for the server."""

    def upload(self, content, task_id=1, *, session=ANN, **more):
        """Send all of it; the command that ends it."""
        self.begin(task_id, session, None, length=len(content), **more)
        for chunk in chunks_of(content):
            if task_id not in {command.task_id for command in self.commands}:
                self.send(chunk, task_id=task_id, session=session)
        return self.commands[-1] if self.commands else None

    def names(self, user=ANN):
        """Names of a user's files."""
        try:
            return sorted(os.listdir(self.directory / str(user)))
        except FileNotFoundError:
            return []
