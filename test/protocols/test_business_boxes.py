"""Tests of `anychat.protocols.business_boxes`, its commands and their types."""

import contextlib
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from anychat import business_messages as messages
from anychat.business_messages import (
    MAX_BUFFER,
    MAX_PRESENCES,
    AppMessageEx,
    EventsLost,
    OnlineUsers,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    OnUserEnterRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Presence,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import BoxReader
from anychat.protocols.business_boxes import (
    CALLS,
    EVENTS,
    QUESTIONS,
    carries,
    command_of,
    decode_answer,
    decode_arguments,
    decode_message,
    decode_number,
    decode_refusal,
    decode_verdict,
    encode_answer,
    encode_asking,
    encode_event,
    encode_message,
    encode_refusal,
    encode_telling,
    encode_verdict,
    number_event,
)
from anychat.protocols.business_types import MAX_IDS, Flag, Ids, Line, Text

SAMPLES = [
    OnUserLoginAction(-2, "gäst", 0, "2001:db8::1"),
    OnUserLogoutActionEx(7, ResultCode.KICKOUT),
    OnUserEnterRoomAction(7, 2**31 - 1),
    OnRecvUserFilterData(7, bytes(MAX_BUFFER)),
    OnRecvUserTextMsg(1, 7, -1, True, "x" * 16384),
    OnTransBuffer(7, bytes(1000)),
    AppMessageEx(10, ResultCode.SERVER_RESTART, 0),
    OnlineUsers((), True),
    OnlineUsers((Presence(-2, "", 0, "", 0), Presence(7, "b", 1, "::1", 3)), False),
    EventsLost(2**40),
    messages.OnTransBufferEx(7, -1, 2**32 - 1, 4, 10**6, 60000, b"data"),
    messages.OnTransFile(7, "f", "/tmp/f", 9, 1, 2, 3),
    messages.OnServerRecordEx(7, "f", 3, 0x1A37, 0, "{}", -1),
    messages.OnObjectEvent(5, 2, 502, 1, 2, 3, 4, "queue"),
    VerifyUser("bob", "secret"),
    PrepareEnterRoom(7, 3, "Room 3", ""),
    messages.OnVideoCallEvent(1, 7, 8, ResultCode.SUCCESS, 3, 0, "hi"),
    messages.OnUserInfoControl(7, 8, 100, -1, 1, "x"),
    messages.SendBufToUser(7, b"x"),
    messages.SendBufToRoom(1, b"x"),
    messages.TransBufferToUser(7, b"x"),
]


def one(data):
    """The box in these bytes."""
    (box,) = BoxReader().receive(data)
    return box


class MessageTests(SynchronousTestCase):
    """Messages to boxes and back."""

    def test_samples(self):
        """Every kind of message survives the wire."""
        for message in SAMPLES:
            command = command_of(message)
            if command.commandName in EVENTS:
                box = one(number_event(encode_event(message), 9))
                self.assertEqual(decode_number(box), 9)
                self.assertNotIn(b"_ask", box)
            else:
                box = one(encode_message(message, b"2a"))
                self.assertEqual(box[b"_ask"], b"2a")
            self.assertEqual(decode_message(command, box), message)

    def test_asTwistedHasIt(self):
        """Twisted's AMP takes the commands for what they are."""
        for message in SAMPLES:
            command = command_of(message)
            told = command.commandName in EVENTS
            data = (
                number_event(encode_event(message), 9)
                if told
                else encode_message(message, b"2a")
            )
            values = command.parseArguments(amp.parseString(data)[0], None)
            self.assertEqual(values.pop("number", 9), 9)
            self.assertEqual(type(message)(**values), message)
            if told:
                values["number"] = 9
            box = command.makeArguments(values, None)
            box[b"_command"] = command.commandName
            self.assertEqual(decode_message(command, one(box.serialize())), message)

    def test_everyMessageHasItsCommand(self):
        """What the core tells, asks and can be called for, and nothing else."""
        for name in (*EVENTS, *QUESTIONS):
            kind = getattr(messages, name.decode())
            fields = [field.name for field in dataclasses.fields(kind)]
            command = (EVENTS | QUESTIONS)[name]
            declared = [key.decode() for key, _ in command.arguments]
            self.assertEqual(declared, fields + ["number"] * (name in EVENTS))
        ready = {name.decode() for name, command in CALLS.items() if carries(command)}
        self.assertEqual(
            ready,
            {
                "SendBufToUser",
                "SendBufToRoom",
                "TransBuffer",
                "GetOnlineUsers",
                "GetRoomIdList",
            },
        )
        self.assertEqual(
            {type(message) for message in SAMPLES if not carries(command_of(message))},
            set(),
        )

    def test_numberIsLast(self):
        """The body of an event serves all who hear it."""
        body = encode_event(EventsLost(3))
        for number in (1, 999, 2**63 - 1):
            box = one(number_event(body, number))
            self.assertEqual(list(box)[-1], b"number")
            self.assertEqual(decode_number(box), number)

    def test_portionOfPresences(self):
        """A portion with the longest names there are fits one value."""
        longest = Presence(-(2**31), "\U0001f600" * 128, 2**31 - 1, "f" * 45, -(2**31))
        event = OnlineUsers((longest,) * MAX_PRESENCES, True)
        box = one(number_event(encode_event(event), 1))
        self.assertEqual(decode_message(command_of(event), box), event)

    def test_pageOfIds(self):
        """A page with the longest ids there are fits one value."""
        ids = (-(2**31),) * MAX_IDS
        data = encode_answer(commands.GetOnlineUsers, b"1", {"ids": ids, "more": False})
        self.assertEqual(
            decode_answer(commands.GetOnlineUsers, one(data)),
            {"ids": ids, "more": False},
        )

    def test_eventThatDoesNotFit(self):
        """Where the core tells what no box carries, it is the core's fault."""
        for event in (
            OnRecvUserFilterData(7, bytes(MAX_BUFFER + 1)),
            OnUserLoginAction(7, "x" * 513, 0, ""),
            OnUserEnterRoomAction(7, 2**31),
            OnlineUsers((Presence(7, "x" * 513, 0, "", 0),), True),
            OnUserLoginAction(7, "\ud800", 0, ""),
        ):
            error = self.assertRaises(LocalError, encode_event, event)
            self.assertIn(type(event).__name__, str(error))

    def test_questionThatDoesNotFit(self):
        """A question that no box carries is refused, and keeps its secret."""
        error = self.assertRaises(
            Refused, encode_message, VerifyUser("b", "secret" * 200), b"1"
        )
        self.assertEqual(error.code, ResultCode.FUNCOPTERROR)
        self.assertNotIn("secretsecret", str(error))


class VerdictTests(SynchronousTestCase):
    """Answers to questions."""

    def test_roundTrip(self):
        """A verdict survives the wire, with a code of the application too."""
        for verdict in (
            Verdict(ResultCode.SUCCESS, 7, 3, "Bob"),
            Verdict(ResultCode.CERTIFY_FAIL),
            Verdict(ResultCode(2**32 - 1)),
        ):
            box = one(encode_verdict(commands.VerifyUser, b"1", verdict))
            self.assertEqual(decode_verdict(commands.VerifyUser, box), verdict)

    def test_leftOut(self):
        """A refusal needs no id, level and nickname."""
        self.assertEqual(
            decode_verdict(commands.VerifyUser, {b"code": b"200"}),
            Verdict(ResultCode.CERTIFY_FAIL),
        )

    def test_roomVerdict(self):
        """A verdict on a room is its code alone."""
        box = one(encode_verdict(commands.PrepareEnterRoom, b"1", Verdict(301)))
        self.assertEqual(set(box), {b"_answer", b"code"})

    def test_valuesForTheCoreToJudge(self):
        """An id that cannot be is no nonsense: the core answers 205."""
        box = {b"code": b"0", b"user_id": b"-5", b"level": b"4294967295"}
        verdict = decode_verdict(commands.VerifyUser, box)
        self.assertEqual((verdict.user_id, verdict.level), (-5, 2**32 - 1))

    def test_nonsense(self):
        """What is no verdict."""
        for box in (
            {},
            {b"code": b""},
            {b"code": b"-1"},
            {b"code": b"4294967296"},
            {b"code": b"0", b"user_id": b"seven"},
            {b"code": b"0", b"nickname": b"\xff"},
        ):
            error = self.assertRaises(Refused, decode_verdict, commands.VerifyUser, box)
            self.assertEqual(error.code, ResultCode.FUNCOPTERROR)


class RefusalTests(SynchronousTestCase):
    """That a command is not carried out."""

    def test_roundTrip(self):
        """Code and reason survive the wire."""
        for error in (
            Refused(ResultCode.INVALID_USERID),
            Refused(ResultCode.FUNCOPTERROR, "data has not from 0 to 1000 bytes"),
            Refused(ResultCode(123456)),
        ):
            box = one(encode_refusal(b"1", error))
            self.assertEqual(box[b"_error_code"], b"REFUSED")
            again = decode_refusal(box)
            self.assertEqual((again.code, again.reason), (error.code, error.reason))
            self.assertEqual(str(again), str(error))

    def test_longText(self):
        """A long reason is cut, and one that is no text harms nobody."""
        for reason in ("x" * 100_000, "\ud800"):
            box = one(encode_refusal(b"1", Refused(ResultCode.FUNCOPTERROR, reason)))
            self.assertEqual(decode_refusal(box).code, ResultCode.FUNCOPTERROR)

    def test_fromOthers(self):
        """What other implementations may send."""
        for code, text, expected in (
            (b"REFUSED", b"200", 200),
            (b"REFUSED", b"200 wrong", 200),
            (b"REFUSED", b"no number", 5),
            (b"REFUSED", b"0 SUCCESS", 5),
            (b"REFUSED", b"99999999999999999999999", 5),
            (b"REFUSED", b"\xc2\xb2\xc2\xb3", 5),
            (b"REFUSED", b"", 5),
            (b"UNHANDLED", b"Unhandled Command", 20),
            (b"UNKNOWN", b"Unknown Error", 5),
            (b"\xff", b"\xff", 5),
        ):
            error = decode_refusal(
                {b"_error": b"1", b"_error_code": code, b"_error_description": text}
            )
            self.assertEqual(error.code, expected, (code, text))
        self.assertEqual(decode_refusal({b"_error": b"1"}).code, 5)


class TypeTests(SynchronousTestCase):
    """Types of arguments take what the page says, and nothing else."""

    def test_number(self):
        """Decimal digits in their range."""
        for good in (b"0", b"-0", b"007", b"4294967295"):
            self.assertEqual(decode(b"error", good), int(good))
        for bad in (
            b"", b"+1", b" 1", b"1 ", b"1_000", b"0x1", b"1.0", b"-", b"\xd9\xa1",
            b"4294967296", b"-1", b"9" * 21, b"9" * 60_000,
        ):  # fmt: skip
            self.assertRaises(Refused, decode, b"error", bad)

    def test_flag(self):
        """Two spellings."""
        self.assertEqual(Flag().fromString(b"True"), True)
        self.assertEqual(Flag().fromString(b"False"), False)
        for bad in (b"true", b"1", b""):
            self.assertRaises(ValueError, Flag().fromString, bad)

    def test_line(self):
        """Nothing that garbles a log line."""
        for bad in ("", "x" * 65, " a", "a ", "a\nb", "\x1b[0m", "\u2028", "\x85"):
            self.assertRaises(ValueError, Line(64, 1).toString, bad)
            self.assertRaises(ValueError, Line(64, 1).fromString, bad.encode())
        self.assertEqual(Line(64).fromString("ö".encode() * 64), "ö" * 64)

    def test_text(self):
        """UTF-8 as it should be."""
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"x" * 11):
            self.assertRaises(ValueError, Text(10).fromString, bad)
        for bad in (b"bytes", "x" * 11, "\ud800", None):
            self.assertRaises(ValueError, Text(10).toString, bad)

    def test_names(self):
        """Commas between names; blanks and empty ones do not count."""
        names = commands.Hello.arguments[4][1]
        self.assertEqual(names.fromString(b" A,B ,,A"), frozenset({"A", "B"}))
        self.assertEqual(names.fromString(b""), frozenset())
        self.assertEqual(names.toString(frozenset({"B", "A"})), b"A,B")
        self.assertRaises(ValueError, names.fromString, b"A" * 4097)
        self.assertRaises(ValueError, names.toString, {"A" * 4097})

    def test_ids(self):
        """A list that is cut off, or too long, is none."""
        self.assertEqual(Ids().fromString(b"\0\x011\0\x02-2"), (1, -2))
        for bad in (b"\0", b"\0\x02", b"\0\x021", b"\0\0", b"\0\x01x"):
            self.assertRaises(ValueError, Ids().fromString, bad)
        self.assertRaises(ValueError, Ids().fromString, b"\0\x011" * (MAX_IDS + 1))

    def test_presences(self):
        """A list of boxes that is cut off, or lacks something, is none."""
        kind = commands.OnlineUsers.arguments[0][1]
        good = kind.toStringProto([Presence(7, "b", 1, "::1", 3)], None)
        self.assertEqual(len(kind.fromStringProto(good * 2, None)), 2)
        for bad in (good[:-1], b"\0\0", b"\0\x01a\0\0\0\0", b"\xff\xff", b"\0"):
            self.assertRaises(ValueError, kind.fromStringProto, bad, None)

    def test_missing(self):
        """What is missing is named; what nobody knows is ignored."""
        error = self.assertRaises(
            Refused, decode_arguments, commands.SendBufToUser, {b"user_id": b"1"}
        )
        self.assertEqual(error.reason, "data is missing")
        self.assertEqual(
            decode_arguments(commands.Begin, {b"proof": b"", b"later": b"x"}),
            {"proof": b""},
        )

    def test_unfitValues(self):
        """A caller's wrong type is refused like a wrong value."""
        for values in (
            {"user_id": "7", "data": b""},
            {"user_id": 7, "data": "text"},
            {"user_id": 7.5, "data": b""},
            {"user_id": None, "data": b""},
            {"user_id": 7},
            {"user_id": 7, "data": bytes(60_001)},
            {"user_id": 2**31, "data": b""},
        ):
            error = self.assertRaises(
                Refused, encode_asking, commands.SendBufToUser, b"1", values
            )
            self.assertEqual(error.code, ResultCode.FUNCOPTERROR)

    def test_longerThanAValue(self):
        """A list that fits its type and no box is refused too."""
        self.assertRaises(
            Refused,
            encode_answer,
            commands.GetRoomIdList,
            b"1",
            {"ids": range(2**30, 2**30 + 6000), "more": False},
        )

    def test_telling(self):
        """A command that wants no answer has no tag."""
        box = one(encode_telling(commands.Acknowledge, {"number": 5}))
        self.assertEqual(box, {b"_command": b"Acknowledge", b"number": b"5"})

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from(sorted({**EVENTS, **QUESTIONS, **CALLS})),
        st.data(),
    )
    def test_garbage(self, name, data):
        """Whatever the values are, they are a message or Refused."""
        command = {**EVENTS, **QUESTIONS, **CALLS}[name]
        box = {
            key: data.draw(st.binary(max_size=40) | st.sampled_from([b"1", b"True"]))
            for key, _ in command.arguments
        }
        try:
            decode_arguments(command, box)
            decode_answer(command, box)
        except Refused as error:
            self.assertEqual(error.code, ResultCode.FUNCOPTERROR)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200))
    def test_garbageInLists(self, data):
        """Lists are lists or ValueError."""
        for kind in (Ids(), commands.OnlineUsers.arguments[0][1]):
            with contextlib.suppress(ValueError):
                kind.fromStringProto(data, None)


def decode(key, value):
    """A value of AppMessageEx."""
    box = {b"message": b"1", b"error": b"0", b"server_id": b"0", key: value}
    return decode_arguments(commands.AppMessageEx, box)[key.decode()]
