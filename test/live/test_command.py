"""``anychat-client`` as it is started from a shell."""

import json
import os
import signal
import sys
from pathlib import Path

import av
from twisted.internet import defer, error, protocol, reactor
from twisted.trial.unittest import TestCase

from test.live.call import until
from test.live.server import CoreServer, free_ports


class Run(protocol.ProcessProtocol):
    """One run of the program."""

    def __init__(self):
        self.out = self.err = b""
        self.ended = defer.Deferred()

    def outReceived(self, data):
        """It printed something."""
        self.out += data

    def errReceived(self, data):
        """It complained."""
        self.err += data

    def processEnded(self, reason):
        """It is over."""
        failed = reason.check(error.ProcessTerminated)
        self.ended.callback(reason.value.exitCode if failed else 0)

    @property
    def objects(self):
        """What was printed with ``--json``."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandCase(TestCase):
    """Starts servers and programs."""

    timeout = 120
    maxDiff = None

    def setUp(self):
        """A home of its own."""
        self.home = Path(self.mktemp())
        self.home.mkdir()

    async def start(self, **sections):
        """A server that is up."""
        server = CoreServer(self.mktemp(), **sections)
        self.addCleanup(server.stop)
        await server.start()
        self.address = f"127.0.0.1:{server.tcp_port}"
        return server

    def run_client(self, *arguments, **environment):
        """Start the program."""
        run = Run()
        program = str(Path(sys.executable).with_name("anychat-client"))
        run.process = reactor.spawnProcess(
            run,
            program,
            [program, *arguments],
            env={**os.environ, "XDG_CONFIG_HOME": str(self.home.resolve())}
            | environment,
            path=str(self.home),
        )
        return run

    def join(self, name, *arguments, **environment):
        """Start ``join`` in room 1."""
        return self.run_client(
            "join",
            self.address,
            "--user",
            name,
            "--room",
            "1",
            *arguments,
            **environment,
        )


class CommandTests(CommandCase):
    """The console client."""

    async def test_call(self):
        """Two clients see, hear and record each other; the summaries say so."""
        await self.start()
        common = ("--publish", "test:", "--watch", "all", "--seconds", "4", "--json")
        ann = self.join("ann", *common, ANYCHAT_PASSWORD="pw")
        bob = self.join("bob", *common, "--save", "saved", "--text", "hello")
        self.assertEqual((await ann.ended, await bob.ended), (0, 0), ann.err + bob.err)
        self.assertEqual(ann.err + bob.err, b"")
        for run in (ann, bob):
            summary = run.objects[-1]
            self.assertEqual(summary["event"], "summary")
            (user,) = summary["watched"]
            self.assertGreater(user["frames_decoded"], 20)
            self.assertGreater(user["audio"]["frames_decoded"], 60)
            self.assertEqual(user["lost"], 0)
            self.assertGreater(user["first_frame_ms"], 0)
        self.assertGreater(ann.objects[1]["user_id"], 0)
        (path,) = bob.objects[-1]["watched"][0]["files"]
        self.assertEqual(os.path.dirname(path), "saved")
        with av.open(str(self.home / path)) as file:
            frames = sum(1 for _ in file.decode(video=0))
            self.assertGreater(frames, 20)
            self.assertEqual(len(file.streams.audio), 1)
        log = (self.home / "BRAnyChatCore.log").read_text()
        for line in (
            "Message OnConnect(1, 0)",
            "Message OnReceiveOnlineUser(",
            "Connection to streaming media server successfully!(udp delay:",
            "publishing Opus at 15850 bps",
        ):
            self.assertIn(line, log)
        self.assertNotIn("pw", log)

    async def test_interrupt(self):
        """Ctrl-C ends it cleanly, with the summary and exit code 0."""
        await self.start()
        run = self.join("ann", "--watch", "all", "--json", "--publish", "test:")
        await until(lambda: b"online_user" in run.out)
        run.process.signalProcess(signal.SIGINT)
        self.assertEqual(await run.ended, 0, run.err)
        self.assertEqual(run.objects[-1]["event"], "summary")
        self.assertEqual(run.err.decode(), "")

    async def test_exitCodes(self):
        """1 refused, 2 usage, 3 cannot connect; each with its reason."""
        server = await self.start(Base={"SDKAuthPass": "secret"})
        info = self.run_client("info", self.address)
        self.assertEqual(await info.ended, 0, info.err)
        self.assertIn(b"SDKAuthPass   asked for", info.out)
        fingerprint = info.out.split()[-1].decode()
        self.assertIn(fingerprint, server.text)
        self.assertFalse((self.home / "anychat").exists())
        unused, _ = free_ports()
        right = {"ANYCHAT_AUTH_PASS": "secret"}
        for run, code, text in (
            (self.join("ann"), 1, b"102 CONNECT_AUTHFAIL"),
            (self.join("ann", "--seconds", "0.1", **right), 0, b""),
            (self.join("", **right), 1, b"210 LOGIN_EMPTYNAME"),
            (
                self.join("ann", "--fingerprint", fingerprint, "--seconds", "x"),
                2,
                b"no number of seconds",
            ),
            (
                self.join("ann", "--fingerprint", "00" * 32, **right),
                3,
                b"68 CERTVERIFYFAIL",
            ),
            (
                self.join("ann", "--publish", "missing.mp4", **right),
                2,
                b"no such media file",
            ),
            (
                self.run_client("info", f"127.0.0.1:{unused}"),
                3,
                b"108 CONNECT_SOCKETERR",
            ),
        ):
            self.assertEqual(await run.ended, code, run.err)
            self.assertIn(text, run.err)
            self.assertNotIn(b"Traceback", run.err)
        known = self.home / "anychat" / "known_servers"
        self.assertIn(fingerprint, known.read_text())
        known.write_text(f"{self.address} sha256:{'00' * 32}\n")
        changed = self.join("ann", **right)
        self.assertEqual(await changed.ended, 3)
        self.assertIn(b"HAS CHANGED", changed.err)
        self.assertIn(b"delete line 1", changed.err)
