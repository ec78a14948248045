"""Compiled plug-ins in their host: C code, processes and pipes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import Verdict
from anychat.codes import ResultCode
from anychat.filters.hooks import HOOK_NAMED
from anychat.filters.host_wire import Done, Loaded, NotLoaded, Send, SendRefused
from test.filters.compiled import PATIENCE, SAMPLES, TROUBLE, HostProcess, compiled
from test.test_layering import ROOT

OK = ResultCode.SUCCESS


class CompiledTestCase(SynchronousTestCase):
    """A host with a plug-in."""

    def host(self, library, **faults):
        """Start it."""
        host = HostProcess(library, **faults)
        self.addCleanup(host.close)
        return host

    def trouble(self, **faults):
        """A host with the plug-in that does wrong, loaded."""
        host = self.host(compiled(TROUBLE), **faults)
        self.assertIsInstance(host.read(), Loaded)
        return host

    def verdict(self, done):
        """The verdict in an answer."""
        self.assertIsInstance(done, Done)
        return done.verdict


class LoadTests(CompiledTestCase):
    """From a file to a plug-in."""

    def test_hooks(self):
        """Those that are exported are told; a version without an end, too."""
        loaded = self.host(compiled(TROUBLE)).read()
        self.assertEqual(loaded.version, "v" * 256)
        missing = {"OnUserLogoutAction", "OnUserLeaveRoomAction"}
        self.assertEqual(
            {hook.camel for hook in loaded.hooks}, HOOK_NAMED.keys() - missing
        )

    def refused(self, library, **faults):
        """The reason why a file is not loaded."""
        host = self.host(library, **faults)
        report = host.read()
        self.assertIsInstance(report, NotLoaded)
        self.assertIsNone(host.read())
        self.assertEqual(host.wait(), 1)
        self.assertNotIn("\n", report.reason)
        return report.reason

    def test_initFails(self):
        """A plug-in that does not want to."""
        self.assertEqual(
            self.refused(compiled(TROUBLE), ANYCHAT_TEST_INIT="refuse"),
            "BRFP_InitFilter returned 0",
        )

    def test_crashWhileLoading(self):
        """A plug-in that crashes at once says nothing more."""
        host = self.host(compiled(TROUBLE), ANYCHAT_TEST_INIT="crash")
        self.assertIsNone(host.read())
        self.assertEqual(host.wait(), -signal.SIGSEGV)

    def test_wrongFiles(self):
        """What is no plug-in for this machine says why, in one line."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        library = bytearray(compiled(TROUBLE).read_bytes())

        def file(name, data, mode=0o644):
            path = directory / name
            path.write_bytes(data)
            path.chmod(mode)
            return path

        foreign = bytearray(library)
        foreign[18:20] = (243).to_bytes(2, sys.byteorder)
        empty = directory / "empty.c"
        empty.write_text("int nothing;\n")
        needy = directory / "needy.c"
        needy.write_text(
            "void nowhere(void); void BRFP_ReleaseFilter(void) { nowhere(); }\n"
        )
        for path, words in (
            (directory / "missing.so", "missing.so: No such file or directory"),
            (directory, "Is a directory"),
            (file("text.so", b"hello"), "no ELF file"),
            (file("nothing.so", b""), "no ELF file"),
            (file("foreign.so", foreign), "built for RISC-V (64 bits), this server"),
            (file("half.so", library[:100]), "half.so: cannot read file data"),
            (compiled(empty), "exports no hook (BRFP_VerifyUser and so on)"),
            (compiled(needy), "undefined symbol: nowhere"),
        ):
            self.assertIn(words, self.refused(path))

    def test_missingLibrary(self):
        """A plug-in that needs a library which is not there names that."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        other = directory / "other.c"
        other.write_text("void other(void) {}\n")
        needed = directory / "libanychat_other.so"
        needed.write_bytes(
            compiled(other, "-Wl,-soname,libanychat_other.so").read_bytes()
        )
        plug_in = directory / "plug_in.c"
        plug_in.write_text(
            "void other(void); void BRFP_OnUserLogoutAction(unsigned u)"
            "{ (void)u; other(); }\n"
        )
        library = compiled(
            plug_in, f"-L{directory}", "-Wl,--no-as-needed", "-lanychat_other"
        )
        self.assertIn("libanychat_other.so", self.refused(library))


class HookTests(CompiledTestCase):
    """Arguments in, verdicts out."""

    def test_verifyUser(self):
        """What the plug-in writes arrives, whatever it is."""
        host = self.trouble()
        for name, password, verdict in (
            ("ann", "secret", Verdict(OK, 7, 3, "ann/secret")),
            ("李", "密", Verdict(OK, 7, 3, "李/密")),
            ("", "", Verdict(OK, 7, 3, "/")),
            ("gbk", "", Verdict(OK, 7, 3, "李雷")),
            ("neither", "", Verdict(OK, 7, 3, "\ufffd\ufffd\ufffd")),
            ("full", "", Verdict(OK, 7, 3, "n" * 512)),
            ("over", "", Verdict(OK, 7, 3, "o" * 512)),
            ("huge", "", Verdict(OK, 2**32 - 1, 2**32 - 1, "")),
            ("number", "-5", Verdict(OK, 2**32 - 5, 3, "")),
            ("code", "200", Verdict(ResultCode.CERTIFY_FAIL, 7, 3)),
            ("code", "4294967295", Verdict(ResultCode(2**32 - 1), 7, 3)),
            ("n" * 512, "p" * 1024, Verdict(OK, 7, 3, ("n" * 512)[:511])),
        ):
            done = host.call("VerifyUser", name, password)
            self.assertEqual(self.verdict(done), verdict, name)

    def test_prepareEnterRoom(self):
        """Ids are unsigned in C, and codes of 32 bits come back whole."""
        host = self.trouble()
        done = host.call("PrepareEnterRoom", -2, 7, "sum", "four")
        self.assertEqual(self.verdict(done).code, 9)

    def test_events(self):
        """Events arrive with everything, and what they send goes out before
        the answer."""
        host = self.trouble()
        sent = host.call("OnUserLoginAction", -2, "李", 5, "::1", 2**32 - 1)
        self.assertEqual(sent, Send(-2, 2**32 - 1, "login 李 5 ::1".encode()))
        self.assertIsInstance(host.read(), Done)
        sent = host.call("OnRecvUserTextMsg", 3, -2, -1, True, "a\0b李")
        self.assertEqual(sent.data, b"text 3 -2 -1 1 6")
        self.assertIsInstance(host.read(), Done)
        for data in (b"\0\xff", b"x", bytes(60_000)):
            sent = host.call("OnRecvUserFilterData", -2, data)
            self.assertEqual(sent.data, data)
            self.assertIsInstance(host.read(), Done)
        sent = host.call("OnUserEnterRoomAction", -2, 2**31 - 1)
        self.assertEqual(sent.data, b"enter 2147483647")

    def test_wrongSends(self):
        """Impossible lengths and no buffer at all are not read."""
        host = self.trouble()
        for room, refused in (("long", 2**32 - 1), ("empty", 0), ("null", 0)):
            report = host.call("PrepareEnterRoom", 1, 2, room, "")
            self.assertEqual(report, SendRefused(refused))
            self.assertIsInstance(host.read(), Done)

    def threads(self, how):
        """Have it send from four threads; what came."""
        host = self.trouble()
        host.call("OnUserLoginAction", 7, "ann", 0, "::1", 9)
        self.assertIsInstance(host.read(), Done)
        host.send("OnRecvUserFilterData", 7, how)
        for _ in range(100):
            host.send("OnRecvUserTextMsg", 3, 7, -1, False, "hi")
        reports = [host.read() for _ in range(4 * 2000 + 1 + 101 + 100)]
        self.assertEqual(host.end(), 0)
        return [r.data for r in reports if isinstance(r, Send)], reports

    def assertThreadsHeard(self, sent):
        """All that four threads sent came, each one's in its order."""
        for number in range(4):
            own = [data for data in sent if data.startswith(b"%d " % number)]
            self.assertEqual(own, [b"%d %d" % (number, at) for at in range(2000)])

    def test_threadsInsideAHook(self):
        """Four threads send at once while the hook waits for them."""
        sent, reports = self.threads(b"threads")
        self.assertThreadsHeard(sent)
        self.assertIsInstance(reports[8001], Done)

    def test_threadsOfItsOwn(self):
        """And while other hooks are called."""
        sent, _ = self.threads(b"background")
        self.assertThreadsHeard(sent)
        self.assertEqual(sum(data.startswith(b"text") for data in sent), 100)


class TroubleTests(CompiledTestCase):
    """What a plug-in can do to its process."""

    def test_crashes(self):
        """The process ends as plain as it can, and at once."""
        for name, code in (
            ("crash", -signal.SIGSEGV),
            ("abort", -signal.SIGABRT),
            ("exit", 3),
        ):
            host = self.trouble()
            self.assertIsNone(host.call("VerifyUser", name, ""))
            self.assertEqual(host.wait(), code)

    def test_printing(self):
        """What it prints goes to standard error, line by line, even then."""
        host = self.trouble()
        host.call("VerifyUser", "print", "")
        self.assertIsNone(host.call("VerifyUser", "crash", ""))
        self.assertEqual(
            host.printed(),
            "standard output of a constructor\nstandard output of a hook\n",
        )

    def test_signals(self):
        """Ctrl-C and an init system reach all processes: it leaves them be."""
        host = self.trouble()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            host.process.send_signal(number)
        self.assertEqual(self.verdict(host.call("VerifyUser", "a", "")).user_id, 7)
        self.assertEqual(host.end(), 0)

    def test_release(self):
        """When its input ends it releases the plug-in and ends."""
        host = self.trouble()
        self.assertEqual(host.end(), 0)
        self.assertTrue(host.printed().endswith("released\n"))

    def test_serverIsKilled(self):
        """It does not outlive its parent, not even while the plug-in hangs."""
        for name in ("ann", "hang", "spin"):
            parent = subprocess.Popen(
                [sys.executable, "-c", _PARENT, str(compiled(TROUBLE)), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            self.addCleanup(parent.stdout.close)
            self.addCleanup(parent.stdin.close)
            child = int(parent.stdout.readline())
            parent.kill()
            parent.wait(PATIENCE)
            self.assertTrue(_gone(child), name)

    def test_startedTooLate(self):
        """Where the server was gone before the host began, it ends at once."""
        host = self.host(compiled(TROUBLE), parent=1)
        self.assertIsNone(host.read())
        self.assertEqual(host.wait(), 1)


#: Starts a host, has it hang, prints its process id.
_PARENT = """
import sys, time
from pathlib import Path
from test.filters.compiled import HostProcess
host = HostProcess(Path(sys.argv[1]))
host.read()
host.send("VerifyUser", sys.argv[2], "")
time.sleep(0.2)
print(host.process.pid, flush=True)
sys.stdin.read()
"""


def _gone(pid):
    """Whether that process ends soon; a dead one that nobody reaped is gone."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
    return False


class SampleTests(CompiledTestCase):
    """etc/samples/welcome_filter.c."""

    def test_sample(self):
        """It does what it says."""
        host = self.host(compiled(SAMPLES / "welcome_filter.c"))
        loaded = host.read()
        self.assertEqual(loaded.version, "welcome_filter.c 1.0")
        self.assertEqual({hook.camel for hook in loaded.hooks}, HOOK_NAMED.keys())
        for name, password, verdict in (
            ("alice", "wonderland", Verdict(OK, 1001, 5, "Alice")),
            ("alice", "builder", Verdict(ResultCode.CERTIFY_FAIL)),
            ("bob", "builder", Verdict(OK, 1002, 0, "Bob")),
            ("nobody", "", Verdict(ResultCode.CERTIFY_FAIL)),
        ):
            done = host.call("VerifyUser", name, password)
            self.assertEqual(self.verdict(done), verdict)
        for room, password, code in (
            (1, "", OK),
            (1000, "", ResultCode.ROOM_PASSERR),
            (1000, "open sesame", OK),
        ):
            done = host.call("PrepareEnterRoom", 1001, room, "r", password)
            self.assertEqual(self.verdict(done), Verdict(code))
        for user_id, handle in ((1001, 1), (-2, 2), (1002, 3)):
            self.assertEqual(
                host.call("OnUserLoginAction", user_id, "bob", 0, "::1", handle),
                Send(user_id, handle, b"Welcome, bob!"),
            )
            self.assertIsInstance(host.read(), Done)
        self.assertEqual(
            host.call("OnRecvUserFilterData", -2, b"\0echo"), Send(-2, 2, b"\0echo")
        )
        self.assertIsInstance(host.read(), Done)
        for name, values in (
            ("OnUserEnterRoomAction", (1001, 3)),
            ("OnRecvUserTextMsg", (3, 1001, -1, False, "hello")),
            ("OnUserLeaveRoomAction", (1001, 3)),
            ("OnUserLogoutAction", (-2,)),
            ("OnRecvUserFilterData", (-2, b"nobody there")),
            ("OnUserLogoutAction", (1001,)),
            ("OnUserLogoutAction", (1001,)),
        ):
            self.assertIsInstance(host.call(name, *values), Done)
        self.assertEqual(host.end(), 0)
        self.assertEqual(
            host.printed(),
            "user 1001 is in room 3\nuser 1001 wrote 5 bytes to -1\n"
            "user 1001 is no more in room 3\n",
        )

    def test_buildLine(self):
        """The line in its head compiles it without a warning."""
        source = SAMPLES / "welcome_filter.c"
        [line] = [
            line.strip(" *")
            for line in source.read_text().splitlines()
            if line.strip(" *").startswith("cc ")
        ]
        compiled(source)  # or there is no compiler
        target = str(Path(self.mktemp()).absolute())
        command = line.replace("welcome_filter.so", target).split()
        done = subprocess.run(
            command, cwd=SAMPLES, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
