"""The AMP commands between the core and its business servers.

``docs/business.md`` is the page for those who write one in another language.
Each command is an ordinary `twisted.protocols.amp.Command` whose arguments
refuse what is out of range, so that Twisted's own AMP can be used with it.
The two ends of this project (`business_server`, `business_client`) only take
the declarations from here: they read and write boxes themselves, since events
go out by the thousand.

==============  ========  ===================================================
base            from      what it is
==============  ========  ===================================================
`Tells`         core      something has happened: numbered, not answered
`Asks`          core      a question, answered with a verdict
`Calls`         business  something is to be done
`Command`       either    the channel itself
==============  ========  ===================================================

There is one error, ``REFUSED``; its description begins with the number and
name of a result code.
"""

# ruff: noqa: RUF012 - AMP's declarations are class attributes.

import re

from twisted.protocols import amp

from anychat.business_messages import MAX_BUFFER, MAX_PASSWORD
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.protocols.business_types import (
    EPOCH_SIZE,
    MAX_AGENT,
    MAX_NAME,
    MAX_SERVER_NAME,
    MAX_STRING,
    MAX_TEXT,
    MAX_TRANS_BUFFER,
    Code,
    Count,
    Flag,
    Id,
    Ids,
    Level,
    Line,
    Names,
    Number,
    Octets,
    Presences,
    Text,
    Word,
    as_code,
)
from anychat.protocols.proof import NONCE_SIZE, PROOF_SIZE, SALT_SIZE

#: Version of what is declared here.
VERSION = 1

#: The AMP error code of every refusal.
REFUSED = b"REFUSED"

_CODE = re.compile("[1-9][0-9]{0,9}")


# The bases.


class Refusal(Refused):
    """The other side's ``REFUSED``.

    :param description: what came with it.
    """

    def __init__(self, description: str):
        number, _, rest = description.partition(" ")
        self.numbered = bool(_CODE.fullmatch(number)) and int(number) < 2**32
        """Whether it names a code."""
        code = as_code(int(number)) if self.numbered else ResultCode.EXCEPTION
        if not self.numbered:
            rest = description
        name, _, text = rest.partition(": ")
        reason = text.removeprefix(code.text).removeprefix(": ")
        super().__init__(code, reason if name == code.name else rest)


class Command(amp.Command):
    """A command of the channel.  ``core`` and ``business`` may both refuse it."""

    errors = {Refusal: REFUSED}


class Tells(Command):
    """Something has happened; never answered, but acknowledged by its number."""

    requiresAnswer = False


class Asks(Command):
    """A question; ``code`` 0 is a yes."""

    response = [(b"code", Code())]


class Calls(Command):
    """Something that the core is to do."""


# The channel itself.


class Hello(Command):
    """First words of a business server."""

    arguments = [
        (b"version", Number(0, 2**16 - 1)),
        (b"name", Line(MAX_SERVER_NAME, 1)),
        (b"agent", Line(MAX_AGENT)),
        (b"nonce", Octets(NONCE_SIZE, NONCE_SIZE)),
        (b"verdicts", Names()),
        (b"events", Names()),
        (b"epoch", Octets(EPOCH_SIZE)),
        (b"handled", Count()),
    ]
    response = [
        (b"version", Number(1, 2**16 - 1)),
        (b"nonce", Octets(NONCE_SIZE, NONCE_SIZE)),
        (b"salt", Octets(SALT_SIZE, SALT_SIZE)),
        (b"proof_required", Flag()),
        (b"server_version", Line(MAX_AGENT)),
        (b"build_time", Line(MAX_AGENT)),
        (b"heartbeat", Number(1, 2**31 - 1)),
        (b"timeout", Number(1, 2**31 - 1)),
        (b"answer_timeout", Number(1, 2**31 - 1)),
        (b"epoch", Octets(EPOCH_SIZE, EPOCH_SIZE)),
    ]


class Begin(Command):
    """The proof that a business server knows SDKAuthPass."""

    arguments = [(b"proof", Octets(PROOF_SIZE))]
    response = [(b"lost", Count())]


class Acknowledge(Command):
    """All events up to this number are done with."""

    arguments = [(b"number", Count())]
    requiresAnswer = False


class Heartbeat(Command):
    """Answered at once, by either side."""


class VerdictsTaken(Command):
    """Who answers these questions from now on."""

    arguments = [(b"verdicts", Names()), (b"name", Line(MAX_SERVER_NAME))]
    requiresAnswer = False


class LinkClose(Command):
    """The core's last words: why it closes the channel."""

    arguments = [(b"code", Code())]
    requiresAnswer = False


# Questions.


class VerifyUser(Asks):
    """See `anychat.business_messages.VerifyUser`."""

    arguments = [(b"name", Text(MAX_NAME)), (b"password", Text(MAX_PASSWORD))]
    # The core judges the values: a wide range lets it say what is wrong.
    response = [
        (b"code", Code()),
        (b"user_id", Word(optional=True)),
        (b"level", Word(optional=True)),
        (b"nickname", Text(MAX_STRING, optional=True)),
    ]


class PrepareEnterRoom(Asks):
    """See `anychat.business_messages.PrepareEnterRoom`."""

    arguments = [
        (b"user_id", Id()),
        (b"room_id", Id()),
        (b"room_name", Text(MAX_NAME)),
        (b"password", Text(MAX_PASSWORD)),
    ]


class OnVideoCallEvent(Asks):
    """See `anychat.business_messages.OnVideoCallEvent`."""

    arguments = [
        (b"event", Number(1, 4)),
        (b"source_id", Id()),
        (b"target_id", Id()),
        (b"error", Code()),
        (b"flags", Word()),
        (b"param", Word()),
        (b"text", Text(MAX_STRING)),
    ]


class OnUserInfoControl(Asks):
    """See `anychat.business_messages.OnUserInfoControl`."""

    arguments = [
        (b"sender_id", Id()),
        (b"user_id", Id()),
        (b"control_code", Word()),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"text", Text(MAX_STRING)),
    ]


# Events.  Each has the argument `number` besides.


class OnUserLoginAction(Tells):
    """See `anychat.business_messages.OnUserLoginAction`."""

    arguments = [
        (b"user_id", Id()),
        (b"name", Text(MAX_NAME)),
        (b"level", Level()),
        (b"ip", Text(64)),
        (b"number", Count(1)),
    ]


class OnUserLogoutActionEx(Tells):
    """See `anychat.business_messages.OnUserLogoutActionEx`."""

    arguments = [(b"user_id", Id()), (b"code", Code()), (b"number", Count(1))]


class OnUserEnterRoomAction(Tells):
    """See `anychat.business_messages.OnUserEnterRoomAction`."""

    arguments = [(b"user_id", Id()), (b"room_id", Id()), (b"number", Count(1))]


class OnUserLeaveRoomAction(Tells):
    """See `anychat.business_messages.OnUserLeaveRoomAction`."""

    arguments = [(b"user_id", Id()), (b"room_id", Id()), (b"number", Count(1))]


class OnRecvUserFilterData(Tells):
    """See `anychat.business_messages.OnRecvUserFilterData`."""

    arguments = [
        (b"user_id", Id()),
        (b"data", Octets(MAX_BUFFER)),
        (b"number", Count(1)),
    ]


class OnRecvUserTextMsg(Tells):
    """See `anychat.business_messages.OnRecvUserTextMsg`."""

    arguments = [
        (b"room_id", Id()),
        (b"source_id", Id()),
        (b"target_id", Id()),
        (b"secret", Flag()),
        (b"text", Text(MAX_TEXT)),
        (b"number", Count(1)),
    ]


class OnTransBuffer(Tells):
    """See `anychat.business_messages.OnTransBuffer`."""

    arguments = [
        (b"user_id", Id()),
        (b"data", Octets(MAX_TRANS_BUFFER)),
        (b"number", Count(1)),
    ]


class AppMessageEx(Tells):
    """See `anychat.business_messages.AppMessageEx`."""

    arguments = [
        (b"message", Word()),
        (b"error", Code()),
        (b"server_id", Word()),
        (b"number", Count(1)),
    ]


class OnlineUsers(Tells):
    """See `anychat.business_messages.OnlineUsers`."""

    arguments = [(b"users", Presences()), (b"final", Flag()), (b"number", Count(1))]


class EventsLost(Tells):
    """See `anychat.business_messages.EventsLost`."""

    arguments = [(b"count", Count(1)), (b"number", Count(1))]


class OnTransBufferEx(Tells):
    """See `anychat.business_messages.OnTransBufferEx`."""

    arguments = [
        (b"user_id", Id()),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"task_id", Word()),
        (b"length", Count()),
        (b"offset", Count()),
        (b"data", Octets(MAX_BUFFER)),
        (b"number", Count(1)),
    ]


class OnTransFile(Tells):
    """See `anychat.business_messages.OnTransFile`."""

    arguments = [
        (b"user_id", Id()),
        (b"file_name", Text(MAX_TEXT)),
        (b"temp_path", Text(MAX_TEXT)),
        (b"length", Count()),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"task_id", Word()),
        (b"number", Count(1)),
    ]


class OnServerRecordEx(Tells):
    """See `anychat.business_messages.OnServerRecordEx`; not told yet."""

    arguments = [
        (b"user_id", Id()),
        (b"file_name", Text(MAX_TEXT)),
        (b"elapse", Word()),
        (b"flags", Word()),
        (b"param", Word()),
        (b"text", Text(MAX_STRING)),
        (b"server_id", Word()),
        (b"number", Count(1)),
    ]


class OnObjectEvent(Tells):
    """See `anychat.business_messages.OnObjectEvent`; not told yet."""

    arguments = [
        (b"object_type", Word()),
        (b"object_id", Word()),
        (b"event", Word()),
        (b"param1", Word()),
        (b"param2", Word()),
        (b"param3", Word()),
        (b"param4", Word()),
        (b"text", Text(MAX_STRING)),
        (b"number", Count(1)),
    ]


# Calls.


class SendBufToUser(Calls):
    """Data for a client's SDKFilterData callback."""

    arguments = [(b"user_id", Id()), (b"data", Octets(MAX_BUFFER, 1))]


class SendBufToRoom(Calls):
    """Data for the SDKFilterData callback of all in a room."""

    arguments = [(b"room_id", Id()), (b"data", Octets(MAX_BUFFER, 1))]


class TransBuffer(Calls):
    """A transparent buffer to a user, from user 0."""

    arguments = [(b"user_id", Id()), (b"data", Octets(MAX_TRANS_BUFFER, 1))]


class GetOnlineUsers(Calls):
    """Who is in a room, or (-1) signed in; ascending, those above ``after``."""

    arguments = [(b"room_id", Id()), (b"after", Id(optional=True))]
    response = [(b"ids", Ids()), (b"more", Flag())]


class GetRoomIdList(Calls):
    """Numbers of all rooms; ascending, those above ``after``."""

    arguments = [(b"after", Id(optional=True))]
    response = [(b"ids", Ids()), (b"more", Flag())]


# Calls of features that the core does not have yet: it answers 20.


class TransBufferEx(Calls):
    """A big buffer to a user, in portions; the first one has task 0."""

    arguments = [
        (b"user_id", Id()),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"flags", Word()),
        (b"task_id", Word()),
        (b"length", Count()),
        (b"offset", Count()),
        (b"data", Octets(MAX_BUFFER)),
    ]
    response = [(b"task_id", Word())]


class TransFile(Calls):
    """A file to a user, in portions; the first one has task 0."""

    arguments = [
        (b"user_id", Id()),
        (b"file_name", Text(MAX_TEXT)),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"flags", Word()),
        (b"task_id", Word()),
        (b"length", Count()),
        (b"offset", Count()),
        (b"data", Octets(MAX_BUFFER)),
    ]
    response = [(b"task_id", Word())]


class FetchFile(Calls):
    """A portion of a file that `OnTransFile` told of."""

    arguments = [(b"task_id", Word()), (b"offset", Count()), (b"size", Count(1))]
    response = [(b"length", Count()), (b"data", Octets(MAX_BUFFER))]


class StreamRecordCtrlEx(Calls):
    """Begin or end a recording, or take a snapshot."""

    arguments = [
        (b"user_id", Id()),
        (b"start", Flag()),
        (b"flags", Word()),
        (b"param", Word()),
        (b"text", Text(MAX_STRING)),
        (b"server_id", Word()),
    ]


class VideoCallControl(Calls):
    """Reply to a user's video call in the user's place, or end it."""

    arguments = [
        (b"event", Number(1, 4)),
        (b"user_id", Id()),
        (b"error", Code()),
        (b"flags", Word()),
        (b"param", Word()),
        (b"text", Text(MAX_STRING)),
    ]


class SetUserInfo(Calls):
    """Give a user's information a value."""

    arguments = [(b"user_id", Id()), (b"info_id", Word()), (b"text", Text(MAX_STRING))]


class GetUserInfo(Calls):
    """The value of a user's information."""

    arguments = [(b"user_id", Id()), (b"info_id", Word())]
    response = [(b"text", Text(MAX_STRING))]


class UserInfoControl(Calls):
    """Kick, block, synchronise, or something of the application's own."""

    arguments = [
        (b"user_id", Id()),
        (b"control_code", Word()),
        (b"wparam", Word()),
        (b"lparam", Word()),
        (b"text", Text(MAX_STRING)),
    ]


class QueryInfoFromServer(Calls):
    """Ask the core for one of the things it knows."""

    arguments = [(b"query", Word()), (b"text", Text(MAX_STRING))]
    response = [(b"text", Text(MAX_STRING))]


class SetSDKOption(Calls):
    """Set an option of the server SDK."""

    arguments = [(b"option", Word()), (b"value", Octets(MAX_BUFFER))]


class ObjectGetIdList(Calls):
    """Ids of the business objects of a type."""

    arguments = [(b"object_type", Word()), (b"after", Id(optional=True))]
    response = [(b"ids", Ids()), (b"more", Flag())]


class ObjectGetValue(Calls):
    """An attribute of a business object."""

    arguments = [
        (b"object_type", Word()),
        (b"object_id", Word()),
        (b"attribute", Word()),
    ]
    response = [(b"value", Octets(MAX_BUFFER))]


class ObjectSetValue(Calls):
    """Give an attribute of a business object a value."""

    arguments = [
        (b"object_type", Word()),
        (b"object_id", Word()),
        (b"attribute", Word()),
        (b"value", Octets(MAX_BUFFER)),
    ]


class ObjectControl(Calls):
    """Have a business object do something."""

    arguments = [
        (b"object_type", Word()),
        (b"object_id", Word()),
        (b"control", Word()),
        (b"param1", Word()),
        (b"param2", Word()),
        (b"param3", Word()),
        (b"param4", Word()),
        (b"text", Text(MAX_STRING)),
    ]


def _below(base: type[Command]) -> tuple[type[Command], ...]:
    return tuple(base.__subclasses__())


#: What the core tells, asks, and can be called for.
EVENTS = _below(Tells)
QUESTIONS = _below(Asks)
CALLS = _below(Calls)
