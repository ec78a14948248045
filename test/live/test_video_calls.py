"""Video calls from a shell, through a server, with media."""

from pathlib import Path

import av

from test.live.call import until
from test.live.test_command import CommandCase

TIMES = ("--seconds", "4")


class VideoCallTests(CommandCase):
    """``anychat-client call`` and ``answer``."""

    def user(self, verb, name, *arguments):
        """Start one of the two verbs."""
        target = [arguments[0]] if verb == "call" else []
        rest = arguments[len(target) :]
        common = ["--json", "--log", f"{name}.log", *rest]
        return self.run_client(verb, self.address, *target, "--user", name, *common)

    async def answering(self, *arguments, name="ben"):
        """Somebody who waits for a call."""
        run = self.user("answer", name, *arguments)
        await until(lambda: b"login_system" in run.out or run.err)
        return run

    def steps(self, run):
        """Events of the call: number, error and room or param."""
        return [
            (line["call_event"], line["error"], line["param"])
            for line in run.objects
            if line["event"] == "video_call_event"
        ]

    async def test_talk(self):
        """One calls by name, the other answers; both see and hear; one hangs up."""
        await self.start(Function={"AutoAddRoom": 0})
        ben = await self.answering("--publish", "test:", "--save", "saved")
        ann = self.user(
            "call", "ann", "ben", "--publish", "test:", "--text", "\u4f60\u597d", *TIMES
        )
        codes = await ann.ended, await ben.ended
        self.assertEqual(codes, (0, 0), ann.err + ben.err)
        self.assertEqual(ann.err + ben.err, b"")
        # Rooms 1 and 2 belong to everybody, though the setting says 1.
        self.assertEqual(self.steps(ann), [(2, 0, 0), (3, 0, 3), (4, 0, 0)])
        self.assertEqual(self.steps(ben), [(1, 0, 0), (3, 0, 3), (4, 0, 0)])
        request = next(o for o in ben.objects if o["event"] == "video_call_event")
        self.assertEqual(request["text"], "\u4f60\u597d")
        for run in ann, ben:
            summary = run.objects[-1]
            self.assertEqual((summary["room_id"], summary["call"]["error"]), (3, 0))
            (user,) = summary["watched"]
            self.assertGreater(user["frames_decoded"], 20)
            self.assertGreater(user["audio"]["frames_decoded"], 60)
        (path,) = ben.objects[-1]["watched"][0]["files"]
        with av.open(str(Path(self.home) / path)) as file:
            self.assertGreater(sum(1 for _ in file.decode(video=0)), 20)
        self.assertIn(
            "Message OnVideoCallEvent(3, ", (self.home / "ann.log").read_text()
        )

    async def test_forbidden(self):
        """What the call forbids does not come through, all else does."""
        await self.start()
        ben = await self.answering("--publish", "test:")
        forbid = ("--forbid", "my-video", "--forbid", "their-audio")
        ann = self.user("call", "ann", "ben", "--publish", "test:", *forbid, *TIMES)
        codes = await ann.ended, await ben.ended
        self.assertEqual(codes, (0, 0), ann.err + ben.err)
        (mine,), (theirs,) = (run.objects[-1]["watched"] for run in (ben, ann))
        self.assertEqual(ann.objects[-1]["call"]["flags"], 0x63)
        self.assertEqual(mine["frames_decoded"], 0)
        self.assertGreater(mine["audio"]["frames_decoded"], 60)
        self.assertGreater(theirs["frames_decoded"], 20)
        self.assertEqual(theirs["audio"]["frames_decoded"], 0)

    async def test_refused(self):
        """Nobody there, a refusal, nobody answers: exit code 1 and the reason."""
        await self.start(Function={"RingTimeout": 1})
        ann = self.user("call", "ann", "ben")
        self.assertEqual(await ann.ended, 1)
        self.assertIn(b"100102 VIDEOCALL_OFFLINE", ann.err)
        ben = await self.answering("--reject")
        ann = self.user("call", "ann", "ben")
        self.assertEqual((await ann.ended, await ben.ended), (1, 0))
        self.assertIn(b"100104 VIDEOCALL_REJECT", ann.err)
        silent = self.join("cat", "--json")
        await until(lambda: b"online_user" in silent.out)
        ann = self.user("call", "ann", "cat")
        self.assertEqual(await ann.ended, 1)
        self.assertIn(b"100105 VIDEOCALL_TIMEOUT", ann.err)
        silent.process.signalProcess("INT")
        await silent.ended
        ben = await self.answering("--wait", "0.5")
        self.assertEqual(await ben.ended, 1)
        self.assertIn(b"100105 VIDEOCALL_TIMEOUT", ben.err)
