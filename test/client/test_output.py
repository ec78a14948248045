"""What the console client prints."""

import errno
import io
import json

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.output import EVENTS, Output
from anychat.client.summary import user_line
from anychat.codes import ResultCode, StreamKind, VideoCallEvent
from anychat.messages import Member, OpenStreamInfo
from test.client.server import PARAMETERS

OK, LOST = ResultCode.SUCCESS, ResultCode.CONNECT_ABORT
ANN = Member(5, 0, "ann", (OpenStreamInfo(StreamKind.VIDEO, 1),))

#: Arguments of every event, and what people read; None: nothing.
SAMPLES = {
    "on_connect": ((OK,), "connected"),
    "on_login_system": ((7, OK), "logged in, own id 7"),
    "on_enter_room": ((1, OK), None),
    "on_leave_room": ((1,), "left room 1"),
    "on_online_user": ((2, 1), "entered room 1, 2 online"),
    "on_user_at_room": ((ANN, True), "ann (5) entered"),
    "on_camera_state": ((5, 0, True), "ann (5): camera 0 open"),
    "on_mic_state_change": ((9, 0, False), "user 9: microphone 0 closed"),
    "on_text_message": ((5, 7, True, "psst"), "ann (5) (secretly): psst"),
    "on_trans_buffer": ((5, b"\x01\xff"), "ann (5): buffer of 2 bytes"),
    "on_trans_buffer_ex": ((5, b"\x01\xff", 1, 2, 3), "ann (5): big buffer of 2 bytes"),
    "on_trans_file": (
        (5, "a.txt", "temp/a-2.txt", 9, 1, 2, 3),
        "ann (5): file a.txt of 9 bytes is temp/a-2.txt",
    ),
    "on_trans_file_ex": (
        (5, ResultCode.TRANSFILE_FAILED, "a.txt", "", 9, 0, "g", "note"),
        "ann (5): file a.txt: 715 TRANSFILE_FAILED (download failed)",
    ),
    "on_user_info_update": (
        (0, 0),
        "information, groups and friends are there",
    ),
    "on_friend_status": ((5, False), "friend ann (5) is gone"),
    "on_user_info_control": (
        (0, 100, 1, -2, "hey"),
        "business server: control code 100, 1, -2: hey",
    ),
    "on_sdk_filter_data": ((b"\x01\xff",), "filter data of 2 bytes"),
    "on_video_call_event": (
        (VideoCallEvent.REQUEST, 5, ResultCode.SUCCESS, 3, 0, "hi"),
        "ann (5) calls: hi",
    ),
    "on_stream_granted": (
        (5, StreamKind.VIDEO, 0),
        "watching video 0 of ann (5)",
    ),
    "on_stream_ended": ((5, StreamKind.AUDIO, 0), "end of audio 0 of ann (5)"),
    "on_publish_end": ((0,), "source 0 is at its end"),
    "on_server_config_update": ((PARAMETERS,), "server parameters changed"),
    "on_sdk_warning": (
        (ResultCode.WARNING_UDPFAIL,),
        "warning: 780 WARNING_UDPFAIL (warning: UDP to server is broken)",
    ),
    "on_session_keep": (
        (False, LOST),
        "connection lost (101 CONNECT_ABORT (connection to server broke)), "
        "reconnecting",
    ),
    "on_link_close": (
        (ResultCode.KICKOUT,),
        "connection closed: 211 KICKOUT (kicked out by server)",
    ),
}


class OutputTests(SynchronousTestCase):
    """`Output`."""

    def setUp(self):
        """A place to print to."""
        self.stream = io.StringIO()
        self.clock = Clock()

    def printed(self):
        """What was printed since the last look."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def test_everyEvent(self):
        """No event of the client is forgotten."""
        self.assertEqual(set(SAMPLES), set(EVENTS))

    def test_people(self):
        """Every event has its line."""
        output = Output(self.stream, False, self.clock.seconds)
        output.know({5: ANN})
        for name, (arguments, text) in SAMPLES.items():
            output.event(name, arguments)
            self.assertEqual(self.printed(), "" if text is None else text + "\n")

    def test_failures(self):
        """Failures are told where nothing else tells them."""
        output = Output(self.stream, False, self.clock.seconds)
        output.event("on_connect", (LOST,))
        output.event("on_login_system", (0, LOST))
        output.event("on_enter_room", (9, ResultCode.ROOM_FULLUSER))
        self.assertEqual(self.printed(), "")
        for code, text in (
            (OK, "reconnected"),
            (ResultCode.SESSIONNOTEXIST, "reconnected, logging in anew"),
            (
                ResultCode.KICKOUT,
                "reconnecting failed: 211 KICKOUT (kicked out by server)",
            ),
        ):
            output.event("on_session_keep", (True, code))
            self.assertEqual(self.printed(), text + "\n")

    def test_json(self):
        """Every event is one object with its arguments by name."""
        output = Output(self.stream, True, self.clock.seconds)
        self.clock.advance(1.23456)
        for name, (arguments, _) in SAMPLES.items():
            output.event(name, arguments)
            text = self.printed()
            self.assertEqual(text.count("\n"), 1)
            values = json.loads(text)
            self.assertEqual(values.pop("event"), name[3:])
            self.assertEqual(values.pop("at"), 1.235)
            self.assertEqual(set(values) - {"name"}, set(EVENTS[name]))
        for name, arguments in (
            ("on_trans_buffer", (5, b"\x01\xff")),
            ("on_sdk_filter_data", (b"\x01\xff",)),
        ):
            output.event(name, arguments)
            self.assertEqual(json.loads(self.printed())["data"], "01ff")
        output.event("on_user_at_room", (ANN, True))
        self.assertEqual(
            json.loads(self.printed())["member"]["streams"],
            [{"kind": "video", "stream_index": 1}],
        )
        output.event("on_link_close", (LOST,))
        values = json.loads(self.printed())
        self.assertEqual((values["code"], values["name"]), (101, "CONNECT_ABORT"))

    def test_broken(self):
        """The first failed line is told, and no other one is tried."""
        told = []
        self.stream.close()
        output = Output(self.stream, False, self.clock.seconds, lambda: told.append(1))
        output.line("a")
        output.line("b")
        self.assertEqual(told, [1])
        self.assertTrue(output.broken)
        self.assertIn("closed file", output.error)

    def test_brokenWhy(self):
        """A full disk is an error, a reader who has had enough is none."""
        for number, text in ((errno.ENOSPC, "full"), (errno.EPIPE, "")):

            def fails(_, number=number):
                raise OSError(number, "full")

            self.stream.write = fails
            output = Output(self.stream, False, self.clock.seconds)
            output.line("a")
            self.assertEqual((output.broken, output.error), (True, text))

    def test_userLine(self):
        """A user's sums in one line."""
        stream = {
            "frames_decoded": 10,
            "packets": 20,
            "lost": 1,
            "repaired": 2,
            "first_frame_ms": 33.3,
        }
        user = {
            "nickname": "ann",
            "user_id": 5,
            **stream,
            "audio": {**stream, "first_frame_ms": None},
            "files": ["a.mp4"],
        }
        self.assertEqual(
            user_line(user),
            "ann (5): video 10 frames, 20 packets, 1 lost, 2 repaired, first frame "
            "after 33 ms; audio 10 frames, 20 packets, 1 lost, 2 repaired; saved as "
            "a.mp4",
        )
