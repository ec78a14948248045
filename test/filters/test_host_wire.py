"""What the server and the host of a plug-in say, in bytes."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import Verdict
from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.filters.hooks import HOOK_NAMED, HOOKS
from anychat.filters.host_wire import (
    Done,
    Loaded,
    NotLoaded,
    Send,
    SendRefused,
    decode_call,
    decode_report,
    encode_arguments,
    encode_call,
    encode_done,
    encode_report,
)
from anychat.protocols.boxes import BoxReader

KEYS = [
    *(b"_command", b"_answer", b"_ask", b"version", b"hooks", b"reason"),
    *(b"user_id", b"handle", b"data", b"length", b"code", b"nickname"),
]


def box(data):
    """The one box in these bytes."""
    [found] = BoxReader().receive(data)
    return found


class WireTests(SynchronousTestCase):
    """Both directions."""

    def test_calls(self):
        """Arguments arrive as C has them: unsigned, and bytes for texts."""
        for name, values, arrived in (
            ("VerifyUser", ("李", "p"), ["李".encode(), b"p"]),
            ("VerifyUser", ("\udc80", ""), [b"?", b""]),
            ("PrepareEnterRoom", (-2, 7, "r", ""), [2**32 - 2, 7, b"r", b""]),
            (
                "OnUserLoginAction",
                (7, "n", 2**31 - 1, "::1", 2**32 - 1),
                [7, b"n", 2**31 - 1, b"::1", 2**32 - 1],
            ),
            ("OnUserLogoutAction", (-5,), [2**32 - 5]),
            ("OnRecvUserFilterData", (1, b"\0\xff"), [1, b"\0\xff"]),
            (
                "OnRecvUserTextMsg",
                (0, 1, -1, True, "hi"),
                [0, 1, 2**32 - 1, 1, b"hi"],
            ),
        ):
            hook = HOOK_NAMED[name]
            call = box(encode_call(12, encode_arguments(hook, values)))
            self.assertEqual(decode_call(call), (hook, b"12", arrived))

    def test_reports(self):
        """What the host says arrives as it was meant."""
        for data, report in (
            (
                encode_report("Loaded", version="李 1", hooks="VerifyUser"),
                Loaded("李 1", (HOOK_NAMED["VerifyUser"],)),
            ),
            (encode_report("NotLoaded", reason="why"), NotLoaded("why")),
            (
                encode_report("Send", user_id=2**32 - 2, handle=9, data=b"\0"),
                Send(-2, 9, b"\0"),
            ),
            (encode_report("SendRefused", length=2**32 - 1), SendRefused(2**32 - 1)),
            (encode_done(b"3"), Done(3, Verdict(ResultCode.SUCCESS))),
            (
                encode_done(b"3", code=777, user_id=2**32 - 1, level=5, nickname="李"),
                Done(3, Verdict(ResultCode(777), 2**32 - 1, 5, "李")),
            ),
        ):
            self.assertEqual(decode_report(box(data)), report)

    def test_wrongReports(self):
        """Nothing that a broken process may write is taken for something."""
        for pairs in (
            {b"x": b"y"},
            {b"_command": b"Nonsense"},
            {b"_command": b"Loaded"},
            {b"_command": b"Loaded", b"version": b"1", b"hooks": b"Nonsense"},
            {b"_command": b"Loaded", b"version": b"1", b"hooks": b""},
            {b"_command": b"Loaded", b"version": b"\xff", b"hooks": b"VerifyUser"},
            {b"_command": b"Loaded", b"version": bytes(1025), b"hooks": b"VerifyUser"},
            {b"_command": b"NotLoaded", b"reason": bytes(2049)},
            {b"_command": b"Send", b"user_id": b"1", b"handle": b"1"},
            {b"_command": b"Send", b"user_id": b"-1", b"handle": b"1", b"data": b"x"},
            {b"_command": b"Send", b"user_id": b"1", b"handle": b"", b"data": b"x"},
            {
                b"_command": b"Send",
                b"user_id": b"1",
                b"handle": b"1",
                b"data": bytes(60_001),
            },
            {b"_command": b"SendRefused", b"length": b"4294967296"},
            {b"_answer": b""},
            {b"_answer": b"x"},
            {b"_answer": b"1", b"code": b"4294967296"},
            {b"_answer": b"1", b"code": b" 1"},
            {b"_answer": b"1", b"nickname": bytes(513)},
            {b"_answer": b"1", b"nickname": b"\xc0"},
        ):
            self.assertRaises(PeerError, decode_report, pairs)

    def test_wrongCalls(self):
        """The host takes nothing but calls of hooks with all their arguments."""
        for pairs in (
            {},
            {b"_command": b"Nonsense", b"_ask": b"1"},
            {b"_command": b"OnUserLogoutAction", b"user_id": b"1"},
            {b"_command": b"OnUserLogoutAction", b"_ask": b"1"},
            {b"_command": b"OnUserLogoutAction", b"_ask": b"1", b"user_id": b"-1"},
            {b"_command": b"VerifyUser", b"_ask": b"1", b"name": b"ann"},
            {b"_command": b"\xff", b"_ask": b"1"},
        ):
            self.assertRaises(PeerError, decode_call, pairs)

    @settings(deadline=None, max_examples=200)
    @given(
        st.dictionaries(
            st.sampled_from(KEYS),
            st.one_of(
                st.binary(max_size=20),
                st.integers(-1, 2**33).map(lambda number: b"%d" % number),
                st.sampled_from(
                    [b"Loaded", b"NotLoaded", b"Send", b"SendRefused"]
                    + [hook.camel.encode() for hook in HOOKS]
                ),
            ),
        )
    )
    def test_fuzz(self, pairs):
        """Whatever comes is decoded or is the peer's fault."""
        for decode in (decode_report, decode_call):
            with contextlib.suppress(PeerError):
                decode(pairs)
