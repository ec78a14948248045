"""What tests of the business channel share: owners that write down, terms."""

from twisted.internet.defer import succeed

from anychat.business_messages import Answer, Verdict
from anychat.codes import ResultCode
from anychat.protocols.business_client import BusinessLink, Introduction
from anychat.protocols.business_server import BusinessChannel, ChannelTerms
from anychat.protocols.tls import SecureTransports
from test.protocols.dialogue import (
    FACTS,
    SALT,
    counting_bytes,
    key_of,
    server_context,
)

EPOCH = bytes(range(8))


class RecordingOwner:
    """Owner of channels: writes down what they report."""

    def __init__(self):
        self.events = []
        self.lost = 0
        self.turn_away = None
        self.unknown_number = None
        self.answer = Answer(ResultCode.SUCCESS)
        self.fault = None

    def channel_begun(self, channel):
        """A business server may be here."""
        self.events.append(("begun", channel.name))
        if self.turn_away is not None:
            raise self.turn_away
        return self.lost

    def channel_ready(self, channel):
        """Events may go out."""
        self.events.append(("ready",))

    def channel_acknowledged(self, channel, number):
        """Events are done with."""
        self.events.append(("acknowledged", number))
        if self.unknown_number is not None:
            raise self.unknown_number

    def channel_call(self, channel, call):
        """Something is to be done."""
        self.events.append(("call", call))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def channel_fault(self, channel, error):
        """The peer did something wrong."""
        self.fault = error
        self.events.append(("fault", int(error.code), channel.closed))

    def channel_over(self, channel):
        """Nothing more comes."""
        self.events.append(("over",))

    def channel_lost(self, channel, reason):
        """The end."""
        self.events.append(("lost",))

    def kinds(self):
        """What was reported, by name alone."""
        return [event[0] for event in self.events]

    def calls(self):
        """What was to be done."""
        return [event[1] for event in self.events if event[0] == "call"]


class RecordingServer:
    """Owner of links, a business server: writes down what they report."""

    def __init__(self):
        self.events = []
        self.verdict = Verdict(ResultCode.SUCCESS, 7, 3, "Bob")
        self.reason = None
        self.refuse = None
        self.fault = None

    def link_secured(self, link, certificate):
        """TLS stands."""
        self.events.append(("secured",))
        if self.refuse is not None:
            raise self.refuse

    def link_begun(self, link, hello, lost):
        """The core lets us in."""
        self.events.append(("begun", hello, lost))

    def link_event(self, link, number, event):
        """Something has happened."""
        self.events.append(("event", number, event))
        if self.fault is not None:
            raise self.fault

    def link_question(self, link, question):
        """A verdict is wanted."""
        self.events.append(("question", question))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def link_verdicts(self, link, verdicts, name):
        """Somebody answers these."""
        self.events.append(("verdicts", verdicts, name))

    def link_lost(self, link, reason):
        """The end."""
        self.events.append(("lost",))
        self.reason = reason.value

    def kinds(self):
        """What was reported, by name alone."""
        return [event[0] for event in self.events]


def make_terms(clock, password="", *, tls=False, **others):
    """Terms of a core."""
    return ChannelTerms(
        facts=FACTS,
        seconds=clock.seconds,
        call_later=clock.callLater,
        random_bytes=counting_bytes(),
        epoch=EPOCH,
        salt=SALT,
        key=key_of(password) if password else b"",
        secure_transports=SecureTransports(server_context(), clock) if tls else None,
        **others,
    )


def make_channel(owner, terms, *, address="127.0.0.1"):
    """A core's end."""
    return BusinessChannel(
        owner, terms, address=address, port=40000, loopback=address == "127.0.0.1"
    )


def introduction(**others):
    """What a business server says of itself."""
    said = {
        "name": "main",
        "agent": "test/1",
        "verdicts": frozenset({"VerifyUser"}),
        "events": frozenset({"*"}),
    }
    return Introduction(**{**said, **others})


def make_link(owner, clock, *, password="", about=None, **others):
    """A business server's end; its key takes no 50 ms."""
    return BusinessLink(
        owner,
        about or introduction(),
        password=password,
        seconds=clock.seconds,
        call_later=clock.callLater,
        random_bytes=counting_bytes(),
        derive=lambda password, salt: succeed(key_of(password)),
        **others,
    )
