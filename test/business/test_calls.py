"""Calls: what is sent for each, and what comes of it."""

import inspect
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.calls import Calls, FilePortion
from anychat.business_messages import MAX_BUFFER
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import BoxReader
from anychat.protocols.business_boxes import decode_arguments, encode_asking


class FakeCore(Calls):
    """Notes what is sent, after encoding and decoding it; answers are the test's."""

    def __init__(self):
        self.sent = []
        self.answers = []

    def _call_core(self, command, **arguments):
        encoded = encode_asking(command, b"1", arguments)
        (box,) = BoxReader().receive(encoded)
        values = decode_arguments(command, box)
        self.sent.append(
            (command.__name__, {k: v for k, v in values.items() if v is not None})
        )
        answer = self.answers.pop(0) if self.answers else {}
        return answer if isinstance(answer, Deferred) else succeed(answer)


#: Call, its arguments -> the command, its arguments besides, the answer, the result.
ROWS = [
    ("send_buf_to_user", (7, b"x"), "SendBufToUser", {}, {}, None),
    ("send_buf_to_room", (1, b"x"), "SendBufToRoom", {}, {}, None),
    ("trans_buffer", (7, b"x"), "TransBuffer", {}, {}, None),
    (
        "trans_buffer_ex",
        (7, b"xy", 1, 2, 3),
        "TransBufferEx",
        {"task_id": 0, "length": 2, "offset": 0},
        {"task_id": 5},
        5,
    ),
    (
        "fetch_file",
        (5, 10, 20),
        "FetchFile",
        {},
        {"length": 30, "data": b"x"},
        FilePortion(30, b"x"),
    ),
    ("set_user_info", (7, 1, "t"), "SetUserInfo", {}, {}, None),
    ("get_user_info", (7, 1), "GetUserInfo", {}, {"text": "t"}, "t"),
    ("user_info_control", (7, 1, 2, 3, "t"), "UserInfoControl", {}, {}, None),
    ("query_info_from_server", (200, "t"), "QueryInfoFromServer", {}, {"text": ""}, ""),
    ("set_sdk_option", (1, b"v"), "SetSDKOption", {}, {}, None),
    ("video_call_control", (1, 7, 0, 2, 3, "t"), "VideoCallControl", {}, {}, None),
    (
        "stream_record_ctrl_ex",
        (7, True, 2, 3, "t", -1),
        "StreamRecordCtrlEx",
        {},
        {},
        None,
    ),
    ("object_get_value", (5, 1, 2), "ObjectGetValue", {}, {"value": b"v"}, b"v"),
    ("object_set_value", (5, 1, 2, b"v"), "ObjectSetValue", {}, {}, None),
    ("object_control", (5, 1, 2, 3, 4, 5, 6, "t"), "ObjectControl", {}, {}, None),
]


class CallsTests(SynchronousTestCase):
    """One call after the other."""

    def setUp(self):
        """A core."""
        self.core = FakeCore()

    def test_rows(self):
        """Each sends its arguments by the command's names and gives the result."""
        for name, arguments, command, others, answer, result in ROWS:
            self.core.sent.clear()
            self.core.answers = [answer]
            call = getattr(self.core, name)
            self.assertEqual(self.successResultOf(call(*arguments)), result, name)
            names = inspect.signature(call).parameters
            given = dict(zip(names, arguments, strict=True)) | others
            self.assertEqual(self.core.sent, [(command, given)], name)

    def test_everyCommand(self):
        """There is a call for each command."""
        told = {command for _, _, command, _, _, _ in ROWS}
        told |= {"TransFile", "GetOnlineUsers", "GetRoomIdList", "ObjectGetIdList"}
        self.assertEqual(told, {command.__name__ for command in commands.CALLS})

    def test_lists(self):
        """Lists come in portions."""
        for call, arguments in (
            (self.core.get_online_users, {"room_id": -1}),
            (self.core.get_room_id_list, {}),
            (lambda: self.core.object_get_id_list(5), {"object_type": 5}),
        ):
            self.core.sent.clear()
            self.core.answers = [
                {"ids": (-2, 1), "more": True},
                {"ids": (5,), "more": True},
                {"ids": (), "more": False},
            ]
            self.assertEqual(self.successResultOf(call()), [-2, 1, 5])
            self.assertEqual(
                [values for _, values in self.core.sent],
                [arguments, arguments | {"after": 1}, arguments | {"after": 5}],
            )

    def test_endlessList(self):
        """A list that does not go on is the core's fault, and no endless loop."""
        for portion in ((), (1,), (0, 3)):
            self.core.answers = [
                {"ids": (1,), "more": True},
                {"ids": portion, "more": True},
            ]
            error = self.failureResultOf(self.core.get_room_id_list(), Refused)
            self.assertEqual(error.value.code, 7)

    def test_bigBuffer(self):
        """More than fits one box goes in portions of one task."""
        self.core.answers = [{"task_id": 5}, {"task_id": 5}]
        data = bytes(MAX_BUFFER + 1)
        self.assertEqual(self.successResultOf(self.core.trans_buffer_ex(7, data)), 5)
        self.assertEqual(
            [(v["task_id"], v["offset"], len(v["data"])) for _, v in self.core.sent],
            [(0, 0, MAX_BUFFER), (5, MAX_BUFFER, 1)],
        )
        for size in (0, (1 << 20) + 1):
            outcome = self.core.trans_buffer_ex(7, bytes(size))
            self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 21)

    def test_file(self):
        """A file goes in portions, with its name alone."""
        path = Path(self.mktemp())
        path.write_bytes(bytes(MAX_BUFFER) + b"end")
        self.core.answers = [{"task_id": 5}, {"task_id": 5}]
        self.assertEqual(self.successResultOf(self.core.trans_file(7, path)), 5)
        (_, first), (_, last) = self.core.sent
        self.assertEqual(
            (first["file_name"], first["length"]), (path.name, MAX_BUFFER + 3)
        )
        self.assertEqual((last["offset"], last["data"]), (MAX_BUFFER, b"end"))

    def test_noFile(self):
        """A file that is not there or empty is refused."""
        path = Path(self.mktemp())
        outcome = self.core.trans_file(7, path)
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 710)
        path.write_bytes(b"")
        outcome = self.core.trans_file(7, path)
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 711)

    def test_refused(self):
        """The core's no is the call's."""
        self.core.answers = [fail(Refused(ResultCode.FUNCNOTALLOW))]
        self.failureResultOf(self.core.send_buf_to_user(7, b"x"), Refused)
