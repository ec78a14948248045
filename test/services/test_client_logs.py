"""Clients' logs on the server's disk."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.messages import LogPart
from anychat.notices import Notices
from anychat.services.client_logs import MAX_LOG, MOST_LOGS, MOST_OPEN, ClientLogs

OK = ResultCode.SUCCESS


class ClientLogsTests(SynchronousTestCase):
    """`ClientLogs` in a directory of the test's."""

    def setUp(self):
        """One user is there."""
        self.root = Path(self.mktemp())
        self.when = datetime(2026, 11, 20, 14, 3, 59)
        self.lines = []
        self.logs = self.make()

    def make(self, **settings):
        """Logs with user 17 there."""
        logs = ClientLogs(
            self.root,
            True,
            lambda: self.when,
            Notices(self.lines.append, lambda: 0.0),
            **{"share": 1, **settings},
        )
        logs.startService()
        logs.begin(1, 17, "192.0.2.33")
        self.addCleanup(logs.stopService)
        return logs

    def files(self):
        """Names and contents of all that is there."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def send(self, content, session=1, step=10):
        """A whole log; the last code."""
        for offset in range(0, len(content), step):
            part = LogPart(offset, len(content), content[offset : offset + step])
            code = self.logs.take(session, part)
            if code != OK:
                return code
        return code

    def test_whole(self):
        """It ends up under its day, with time, user and address in its name."""
        self.assertEqual(self.send(b"a line\nanother one\n"), OK)
        name = "2026-11-20/14-03-59-u17-192.0.2.33.log"
        self.assertEqual(self.files(), {name: b"a line\nanother one\n"})
        self.assertEqual((self.root / name).stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.logs.complete, 1)

    def test_incomplete(self):
        """Until it is whole it is a part; one who leaves leaves nothing."""
        self.logs.take(1, LogPart(0, 20, b"0123456789"))
        self.assertEqual(
            list(self.files()), ["2026-11-20/14-03-59-u17-192.0.2.33.part"]
        )
        self.logs.end(1)
        self.assertEqual(self.files(), {})
        self.assertEqual(self.logs._clients, {})
        self.assertEqual((self.logs._uploading, self.logs._coming), ({}, 0))

    def test_anew(self):
        """A log that begins again replaces what had come of it."""
        self.logs.take(1, LogPart(0, 20, b"0123456789"))
        self.assertEqual(self.send(b"whole"), OK)
        self.assertEqual(list(self.files().values()), [b"whole"])

    def test_gaps(self):
        """A part that does not follow gives the log up."""
        for part in (
            LogPart(5, 20, b"x"),
            LogPart(15, 20, b"x"),
            LogPart(10, 21, b"x"),
        ):
            self.logs.take(1, LogPart(0, 20, b"0123456789"))
            self.assertEqual(self.logs.take(1, part), ResultCode.FUNCOPTERROR)
            self.assertEqual(self.files(), {})
        self.assertEqual(self.logs.take(1, LogPart(7, 20, b"x")), 21)

    def test_tooLong(self):
        """A log that is too long is not begun."""
        part = LogPart(0, MAX_LOG + 1, b"x")
        self.assertEqual(self.logs.take(1, part), ResultCode.OVERFLOW)
        self.assertFalse(self.root.exists())

    def test_names(self):
        """Two in a second have two names; no address leads elsewhere."""
        self.logs.begin(2, -2, "fe80::1%../../etc/eth0")
        self.send(b"one")
        self.send(b"two")
        self.send(b"three", session=2)
        self.assertEqual(len(self.files()), 3)
        for path in self.root.rglob("*"):
            self.assertTrue(path.resolve().is_relative_to(self.root.resolve()))

    def test_stranger(self):
        """Who is not there has no log."""
        self.assertEqual(
            self.logs.take(9, LogPart(0, 1, b"x")), ResultCode.SESSIONNOTEXIST
        )

    def test_most(self):
        """One session sends so many, and so many are under way."""
        for _ in range(MOST_LOGS):
            self.assertEqual(self.send(b"log"), OK)
        self.assertEqual(self.send(b"log"), ResultCode.NOENOUGHRESOURCE)
        for session in range(10, 10 + MOST_OPEN):
            self.logs.begin(session, session, "192.0.2.1")
            self.logs.take(session, LogPart(0, 20, b"x"))
        self.logs.begin(5, 5, "192.0.2.1")
        self.assertEqual(
            self.logs.take(5, LogPart(0, 20, b"x")), ResultCode.NOENOUGHRESOURCE
        )

    def test_oldDaysGo(self):
        """Beyond the bound the oldest days go, and nothing that is not ours."""
        self.logs = self.make(most=10_000)
        for day in (17, 18, 19):
            self.when = datetime(2026, 11, day)
            self.assertEqual(self.send(b"x" * 4000, step=5000), OK)
        (self.root / "notes").mkdir()
        (self.root / "notes" / "keep").write_text("x" * 1000)
        self.when = datetime(2026, 11, 20)
        self.assertEqual(self.send(b"x" * 4000, step=5000), OK)
        days = sorted(path.name for path in self.root.iterdir())
        self.assertEqual(days, ["2026-11-19", "2026-11-20", "notes"])
        self.assertEqual(self.send(b"x" * 9000, step=9000), ResultCode.DISKSPACELIMITED)

    def test_counted(self):
        """What was there before the start counts."""
        self.send(b"x" * 6000, step=6000)
        self.logs = self.make(most=10_000)
        self.assertEqual(self.send(b"x" * 6000, step=6000), ResultCode.DISKSPACELIMITED)

    def test_tidiedUp(self):
        """What somebody has taken away counts no more, after a while."""
        self.logs = self.make(most=10_000)
        self.assertEqual(self.send(b"x" * 9000, step=9000), OK)
        for path in self.root.rglob("*.log"):
            path.unlink()
        again = b"x" * 9000
        self.logs.begin(2, 2, "192.0.2.34")
        code = self.send(again, 2, 9000)
        self.assertEqual(code, ResultCode.DISKSPACELIMITED)
        self.when += timedelta(seconds=61)
        self.assertEqual(self.send(again, 2, 9000), OK)

    def test_tinyLogs(self):
        """A log costs a block of the disk at least."""
        self.logs = self.make(most=10_000)
        codes = [self.send(b"x") for _ in range(3)]
        self.assertEqual(codes, [OK, OK, ResultCode.DISKSPACELIMITED])

    def test_comingCounts(self):
        """What is coming takes room already."""
        self.logs = self.make(most=10_000)
        self.logs.take(1, LogPart(0, 6000, b"x"))
        self.logs.begin(2, 2, "192.0.2.1")
        self.assertEqual(self.send(b"x" * 6000, 2, 6000), ResultCode.DISKSPACELIMITED)
        self.logs.end(1)
        self.assertEqual(self.send(b"x" * 6000, 2, 6000), OK)

    def test_oneAddress(self):
        """One address has its share of a day, however many users it is."""
        self.logs = self.make(most=40_000, share=4)
        self.assertEqual(self.send(b"x" * 6000, step=6000), OK)
        self.logs.begin(2, 2, "192.0.2.33")
        self.logs.begin(3, 3, "192.0.2.34")
        self.assertEqual(self.send(b"x" * 6000, 2, 6000), ResultCode.DISKSPACELIMITED)
        self.assertEqual(self.send(b"x" * 6000, 3, 6000), OK)
        self.when += timedelta(days=1)
        self.assertEqual(self.send(b"x" * 6000, 2, 6000), OK)

    def test_standStill(self):
        """Logs that stand still make room for others'."""
        for session in range(10, 10 + MOST_OPEN):
            self.logs.begin(session, session, "192.0.2.1")
            self.logs.take(session, LogPart(0, 20, b"x"))
        self.assertEqual(self.send(b"log"), ResultCode.NOENOUGHRESOURCE)
        self.when += timedelta(seconds=31)
        self.logs.take(10, LogPart(1, 20, b"x"))
        self.assertEqual(self.send(b"log"), OK)
        self.assertEqual(self.logs.take(10, LogPart(2, 20, b"x")), OK)
        self.assertEqual(
            self.logs.take(11, LogPart(1, 20, b"x")), ResultCode.FUNCOPTERROR
        )

    def test_noDirectory(self):
        """A disk that takes nothing costs the log, and one line."""
        self.root.parent.mkdir(exist_ok=True, parents=True)
        self.root.write_text("in the way")
        for _ in range(3):
            self.assertEqual(self.send(b"log"), ResultCode.DISKSPACELIMITED)
        self.assertEqual(len(self.lines), 1)
        self.assertEqual(self.logs.refused, 3)

    def test_link(self):
        """A part that somebody replaced by a link is not written through."""
        self.logs.take(1, LogPart(0, 20, b"0123456789"))
        (part,) = self.root.rglob("*.part")
        target = Path(self.mktemp())
        target.write_text("mine")
        part.unlink()
        os.symlink(target.resolve(), part)
        self.assertEqual(
            self.logs.take(1, LogPart(10, 20, b"0123456789")),
            ResultCode.DISKSPACELIMITED,
        )
        self.assertEqual(target.read_text(), "mine")

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 3), st.integers(0, 40), st.binary(min_size=1, max_size=9)
            ),
            max_size=30,
        )
    )
    def test_anything(self, parts):
        """Whatever comes: an answer, and nothing left when all are gone."""
        for session in range(3):
            self.logs.begin(session, session, "192.0.2.1")
        for session, offset, data in parts:
            code = self.logs.take(session, LogPart(offset, offset + len(data), data))
            self.assertIsInstance(code, ResultCode)
        for session in range(3):
            self.logs.end(session)
        self.assertEqual(list(self.root.rglob("*.part")), [])
