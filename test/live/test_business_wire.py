"""A business server written from docs/business.md alone, over real sockets."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from anychat.business_messages import (
    Answer,
    EventsLost,
    OnRecvUserFilterData,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.protocols import business_commands as commands
from anychat.protocols.business_boxes import encode_event, number_event
from test.business_wire import SocketServer
from test.protocols.business_dialogue import (
    RecordingOwner,
    RecordingServer,
    make_channel,
    make_link,
    make_terms,
)
from test.protocols.dialogue import client_options


class Core(Factory):
    """A port whose channels say and ask a few things as soon as they may."""

    noisy = False

    def __init__(self, events, **terms):
        self.owner = RecordingOwner()
        self.owner.channel_ready = self.ready
        self.owner.answer = Answer(ResultCode.SUCCESS, (7, -2))
        self.terms = make_terms(reactor, "pw", **terms)
        self.events = events
        self.verdicts = []
        self.channels = []

    def buildProtocol(self, addr):
        """A channel."""
        channel = make_channel(self.owner, self.terms)
        self.channels.append(channel)
        return channel

    def ready(self, channel):
        """Tell, ask, tell."""
        for number, event in enumerate(self.events, 1):
            channel.send(number_event(encode_event(event), number))
        question = channel.ask(VerifyUser("bob", "secret"))
        question.addCallback(self.verdicts.append)


class SocketTests(TestCase):
    """Real loopback sockets, plain and TLS, read by blocking code in a thread."""

    timeout = 30

    @inlineCallbacks
    def talk(self, **options):
        """A whole conversation."""
        events = [OnRecvUserFilterData(7, bytes(60_000))] * 20 + [EventsLost(3)]
        core = Core(events, tls=options.get("tls", False))
        port = reactor.listenTCP(0, core, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        found = yield deferToThread(self.converse, port.getHost().port, **options)
        self.assertEqual(len(found["events"]), 21)
        self.assertEqual(found["events"][0][1]["data"], bytes(60_000))
        self.assertEqual(found["users"], {"ids": [-2, 7], "more": False})
        self.assertEqual(core.verdicts, [Verdict(ResultCode.SUCCESS, 7, 3, "Bob")])
        self.assertIn(("acknowledged", 21), core.owner.events)
        for channel in core.channels:
            channel.abort()

    @staticmethod
    def converse(port, **options):
        """The business server's side, in a thread."""
        server = SocketServer("127.0.0.1", port, **options)
        dialogue = server.dialogue
        assert server.until(lambda dialogue: dialogue.begun)
        assert server.until(lambda dialogue: dialogue.questions)
        assert server.until(lambda dialogue: len(dialogue.events) == 21)
        dialogue.acknowledge()
        tag = dialogue.questions[0][0]
        dialogue.answer(tag, code=0, user_id=7, level=3, nickname="Bob")
        call = dialogue.call("GetOnlineUsers", room_id=-1)
        assert server.until(lambda dialogue: call in dialogue.answers)
        server.close()
        return {"events": dialogue.events, "users": dialogue.answers[call]}

    def test_plain(self):
        """Without TLS, from this host."""
        return self.talk(password="pw")

    def test_tls(self):
        """With TLS, and the proof bound to it."""
        return self.talk(password="pw", tls=True)

    @inlineCallbacks
    def test_wrongPassword(self):
        """The wrong password is told, and the connection is closed."""
        core = Core([], tls=True)
        port = reactor.listenTCP(0, core, interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        def refused():
            server = SocketServer(
                "127.0.0.1", port.getHost().port, password="wrong", tls=True
            )
            server.until(lambda dialogue: False)
            server.close()
            assert server.ended
            return [getattr(a, "code", 0) for a in server.dialogue.answers.values()]

        codes = yield deferToThread(refused)
        self.assertEqual(codes, [0, 102])
        self.assertEqual(core.owner.fault.code, 102)


class LinkTests(TestCase):
    """The project's own two ends over real sockets."""

    timeout = 30

    @inlineCallbacks
    def converse(self, tls):
        """Events, a question, a call, and the end."""
        events = [OnRecvUserFilterData(7, bytes(60_000))] * 20 + [EventsLost(3)]
        core = Core(events, tls=tls)
        port = reactor.listenTCP(0, core, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        server, all_came, over = RecordingServer(), Deferred(), Deferred()

        def event(link, number, event):
            RecordingServer.link_event(server, link, number, event)
            if number == 21:
                all_came.callback(None)

        def lost(link, reason):
            RecordingServer.link_lost(server, link, reason)
            over.callback(None)

        server.link_event, server.link_lost = event, lost
        link = make_link(
            server, reactor, password="pw", tls=client_options() if tls else None
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        yield endpoint.connect(Factory.forProtocol(lambda: link))
        yield all_came
        link.acknowledge(21)
        answer = yield link.call(commands.GetOnlineUsers, room_id=-1)
        self.assertEqual(answer["ids"], (-2, 7))
        self.assertEqual(core.verdicts, [Verdict(ResultCode.SUCCESS, 7, 3, "Bob")])
        self.assertIn(("acknowledged", 21), core.owner.events)
        core.channels[0].close(ResultCode.SERVER_RESTART)
        yield over
        self.assertEqual(server.reason.code, 212)

    def test_plain(self):
        """Without TLS."""
        return self.converse(False)

    def test_tls(self):
        """With TLS, and the proof bound to it."""
        return self.converse(True)
