"""Tests of `anychat.services.business`: connections, roles, questions, calls."""

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anychat.business_messages import (
    Answer,
    Arbiter,
    GetOnlineUsers,
    OnRecvUserFilterData,
    OnTransBuffer,
    OnUserInfoControl,
    OnVideoCallEvent,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import Refused, Unavailable
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import ANSWER, encode_box
from anychat.protocols.business_client import BusinessLink, Introduction
from anychat.services.business import (
    COUNTERS,
    GAUGES,
    BusinessChannelSettings,
    BusinessService,
    resting,
)
from anychat.services.event_queue import OVERHEAD, SHARE_OF_BYTES, SHARE_OF_EVENTS
from test.protocols.dialogue import FACTS, client_options, server_context
from test.protocols.pipe import Peer
from test.services.business_servers import (
    BOTH,
    BusinessTestCase,
    Core,
    Reactor,
    Server,
    happening,
)
from test.test_layering import ROOT

LOGIN = VerifyUser("anna", "secret")
ENTRY = PrepareEnterRoom(7, 1, "one", "")


class RestingTests(SynchronousTestCase):
    """Who decides without business servers."""

    def test_resting(self):
        """Logins always wait for somebody; rooms if they have to."""
        self.assertEqual(resting(True), (Arbiter.AWAY, Arbiter.AWAY))
        self.assertEqual(resting(False), (Arbiter.AWAY, Arbiter.NOBODY))


class ConnectionTests(BusinessTestCase):
    """Who may connect."""

    def test_begin(self):
        """One that connects is let in, logged, and told to the core."""
        server = self.server()
        self.assertEqual(server.lost, 0)
        self.assertEqual(server.hello.server_version, "6.0.0.1")
        self.assertEqual(
            self.log,
            [
                "Business server(shop, 127.0.0.1:40000) connect success!",
                "VerifyUser is answered by business server shop",
                "PrepareEnterRoom is answered by business server shop",
            ],
        )
        self.assertEqual(
            self.core.arbiters_told, [("AWAY", "AWAY", False), ("THERE", "THERE", True)]
        )
        self.assertEqual(
            (self.count("connected"), self.count("unauthenticated")), (1, 0)
        )

    def test_version(self):
        """The plug-in's text is the product's with our version."""
        self.assertRegex(
            self.service.version, r"^SDK Filter Plus \(IPC\), for Linux V\d+\."
        )

    def test_loss(self):
        """The core hears at once that one is gone."""
        server = self.server()
        server.pipe.cut()
        self.assertEqual(self.core.arbiters_told[-1], ("AWAY", "AWAY", False))
        self.assertEqual(
            self.log[-1], "Business server(shop, 127.0.0.1:40000) disconnect"
        )
        self.assertEqual((self.count("connected"), self.count("names")), (0, 1))

    def test_notRequired(self):
        """With RequireBusiness=0 rooms decide alone meanwhile."""
        self.serve(require=False)
        server = self.server(verdicts=["VerifyUser"])
        server.pipe.cut()
        self.assertEqual(
            self.core.arbiters_told,
            [
                ("AWAY", "NOBODY", False),
                ("THERE", "NOBODY", True),
                ("AWAY", "NOBODY", False),
            ],
        )
        self.assertFalse([line for line in self.log if "Warning" in line])

    def test_nobodyAdmits(self):
        """That rooms stay shut though one is connected, the operator is told."""
        self.server(verdicts=["VerifyUser"])
        self.assertEqual(self.core.arbiters_told[-1], ("THERE", "AWAY", True))
        self.assertIn("RequireBusiness=0", self.log[-1])

    def test_password(self):
        """SDKAuthPass lets in from anywhere, over TLS."""
        self.serve(password="open sesame")
        for host in ("127.0.0.1", "192.0.2.7", "2001:db8::7"):
            server = self.server(host, host=host, tls=True, password="open sesame")
            self.assertEqual(server.lost, 0, host)
        self.assertEqual(self.count("connected"), 3)
        self.assertIn("(2001:db8::7, [2001:db8::7]:40000)", " ".join(self.log))

    def test_unlicensed(self):
        """Without the feature nobody is let in from beyond, and both logs say why."""
        self.serve(password="open sesame")
        there = self.server(host="192.0.2.7", tls=True, password="open sesame")
        self.distributed = False
        here = self.server("here", tls=True, password="open sesame")
        late = self.server("late", host="192.0.2.7", tls=True, password="open sesame")
        self.assertEqual(late.reason.code, ResultCode.CONNECT_FUNCLIMIT)
        for text in late.reason.reason, self.log[-1]:
            self.assertIn("needs a licence", text)
            self.assertIn("'distributed'", text)
        self.assertIn("(errorcode=105)", self.log[-1])
        # Whoever is there stays.
        self.assertIsNone(there.reason)
        self.assertIsNone(here.reason)
        self.assertEqual(self.count("connected"), 2)

    def test_sameHost(self):
        """Who comes from an address of this host is not on another machine."""
        self.serve(password="open sesame")
        self.distributed = False
        server = self.server(host="192.0.2.1", tls=True, password="open sesame")
        self.assertIsNone(server.reason)

    def test_wrongPassword(self):
        """The wrong one does not, nor does none; the log has neither."""
        self.serve(password="open sesame")
        server = self.server(password="open barley")
        self.assertEqual(server.reason.code, ResultCode.CONNECT_AUTHFAIL)
        self.assertIn("(errorcode=102)", self.log[-1])
        self.assertIn("wrong SDKAuthPass", self.log[-1])
        self.assertNotIn("open", " ".join(self.log))
        server = self.server()
        self.assertEqual(server.reason.code, ResultCode.CONNECT_AUTHFAIL)
        self.assertEqual((self.count("connected"), self.count("faults")), (0, 1))

    def test_plainFromBeyond(self):
        """From beyond loopback it has to be TLS, and the line says so."""
        self.serve(password="open sesame")
        server = self.server(host="192.0.2.7", password="open sesame")
        self.assertEqual(server.reason.code, ResultCode.CERTHIGHSECURITY)
        self.assertIn("192.0.2.7:40000", self.log[-1])
        self.assertIn("TLS", self.log[-1])

    def test_noPasswordFromBeyond(self):
        """From beyond loopback SDKAuthPass has to be set, and the line says so."""
        server = self.server(host="192.0.2.7", tls=True)
        self.assertEqual(server.reason.code, ResultCode.CONNECT_AUTHFAIL)
        self.assertIn("SDKAuthPass must be set", self.log[-1])
        self.assertEqual(self.count("connected"), 0)

    def test_foreign(self):
        """What speaks something else is closed with a line; few lines for many."""
        for _ in range(5):
            peer = Peer()
            self.plug(peer, "192.0.2.7")
            peer.transport.write(b"GET / HTTP/1.1\r\n\r\n")
            self.flush()
            self.assertTrue(peer.lost)
        self.assertEqual(
            self.log,
            [
                "Close business server(unnamed, 192.0.2.7:40000), speaks neither TLS "
                "nor AMP.(errorcode=7)"
            ],
        )
        self.assertEqual((self.count("faults"), self.count("unauthenticated")), (5, 0))

    def test_silent(self):
        """Whoever says nothing goes, and makes room."""
        peer = Peer()
        self.plug(peer)
        self.assertEqual(self.count("unauthenticated"), 1)
        self.reactor.advance(10)
        self.reactor.advance(5)
        self.flush()
        self.assertTrue(peer.lost)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_crowd(self):
        """So many that have not begun may be there, from one address and in all."""
        self.serve(channels_per_address=2, channels_overall=3)
        self.plug(Peer(), "192.0.2.1")
        pipe = self.plug(Peer(), "192.0.2.1")
        self.assertIsNone(self.plug(Peer(), "192.0.2.1"))
        self.plug(Peer(), "192.0.2.2")
        self.assertIsNone(self.plug(Peer(), "192.0.2.3"))
        self.assertEqual((self.count("refused_crowd"), len(self.log)), (2, 1))
        pipe.cut()
        self.assertIsNotNone(self.plug(Peer(), "192.0.2.3"))

    def test_begunAreNoCrowd(self):
        """One that was let in leaves its place to the next."""
        self.serve(channels_per_address=1)
        for name in "abc":
            self.assertEqual(self.server(name).lost, 0)

    def test_names(self):
        """So many names are known; the one that is away longest makes room."""
        self.serve(names=2)
        away, back = self.server("a"), self.server("b")
        away.pipe.cut()
        self.reactor.advance(1)
        back.pipe.cut()
        self.tell(1, 2)
        self.server("c")
        self.assertIn("(a) is forgotten", "".join(self.log))
        self.assertEqual(self.again(back, 2).lost, 0)
        refused = self.server("d")
        self.assertEqual(refused.reason.code, ResultCode.NOENOUGHRESOURCE)
        self.assertIn("2 business servers are connected already", self.log[-1])
        self.assertEqual((self.count("names_forgotten"), self.count("names")), (1, 2))

    def test_listening(self):
        """It listens where it is told to, and no longer when it stops."""
        self.serve(addresses=("127.0.0.1", "192.0.2.1"))
        hosts = [address.host for address in self.service.addresses()]
        self.assertEqual(hosts, ["127.0.0.1", "192.0.2.1"])
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.reactor.ports, [])

    def test_portTaken(self):
        """The start fails where the port cannot be had."""
        self.successResultOf(self.service.stopService())
        self.reactor.failing = CannotListenError("127.0.0.1", 8909, OSError())
        self.core.arbiters_told.clear()
        self.assertRaises(CannotListenError, self.service.startService)
        self.assertFalse(self.service.running)
        self.assertEqual(self.core.arbiters_told, [])

    def test_stop(self):
        """All are told, questions are answered, and nothing is left."""
        server, other = self.server("a"), self.server("b")
        peer = Peer()
        self.plug(peer)
        verdicts = self.ask(LOGIN)
        told = len(self.core.arbiters_told)
        stopping = self.service.stopService()
        self.assertNoResult(stopping)
        self.flush()
        self.successResultOf(stopping)
        self.assertEqual(len(self.core.arbiters_told), told)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])
        for one in (server, other):
            self.assertEqual(one.reason.code, ResultCode.CONNECT_OFFLINE)
        self.assertTrue(peer.lost)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(
            self.ask(LOGIN), [Verdict(ResultCode.SERVERSDK_FAIL)], "after the stop"
        )
        self.service.tell(happening(1))

    def test_stopUnderLoad(self):
        """One that reads nothing cannot hold up the stop."""
        server = self.server(eager=False)
        server.pipe.client.reads = False
        for number in range(1000):
            self.service.tell(happening(number))
        verdicts = [self.ask(LOGIN) for _ in range(10)]
        stopping = self.service.stopService()
        self.flush()
        self.assertNoResult(stopping)
        self.reactor.advance(1)
        self.flush()
        self.successResultOf(stopping)
        self.assertEqual(verdicts, [[Verdict(ResultCode.SERVERSDK_FAIL)]] * 10)
        server.link.abort()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_silentAfterBegin(self):
        """One from which nothing comes any more is given up."""
        server = self.server()
        server.pipe.server.reads = server.pipe.client.reads = False
        for _ in range(21):
            self.reactor.advance(1)
        self.flush()
        server.pipe.cut()
        self.assertIn("was silent for 20 s.(errorcode=100)", "".join(self.log))
        self.assertEqual(self.core.arbiters_told[-1], ("AWAY", "AWAY", False))
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class RoleTests(BusinessTestCase):
    """Several business servers: one answers, the newest that asks to."""

    def test_newest(self):
        """The newest is asked, and the other one is told."""
        old, new = self.server("old"), self.server("new")
        self.ask(LOGIN)
        self.assertEqual((len(old.asked), len(new.asked)), (0, 1))
        self.assertEqual(old.roles, [(sorted(BOTH), "new")])
        self.assertEqual(new.roles, [])

    def test_handOver(self):
        """When the newest goes, the next one is asked again, and told."""
        old = self.server("old")
        new = self.server("new", verdicts=["VerifyUser"])
        self.ask(ENTRY)
        self.assertEqual(len(old.asked), 1)
        new.pipe.cut()
        self.ask(LOGIN)
        self.assertEqual(
            [type(q) for q, _ in old.asked], [PrepareEnterRoom, VerifyUser]
        )
        self.assertEqual(old.roles, [(["VerifyUser"], "new"), (["VerifyUser"], "old")])
        self.assertEqual(self.log[-1], "VerifyUser is answered by business server old")

    def test_listenerOnly(self):
        """One that wants no verdict is heard of, and never asked."""
        self.server("listener", verdicts=[])
        self.assertEqual(self.core.arbiters_told[-1], ("AWAY", "AWAY", True))
        self.assertEqual(self.ask(LOGIN), [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.count("questions_without"), 1)

    def test_openOnesStay(self):
        """A question stays with the one it was put to."""
        old = self.server("old")
        verdicts = self.ask(LOGIN)
        self.server("new")
        old.rule(0, 5)
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 5)])

    def test_closing(self):
        """One whose channel is over has no role, be its connection still there."""
        old, new = self.server("old"), self.server("new")
        lost = self.ask(LOGIN)
        new.link.transport.write(b"\xff" * 9)
        new.pipe.client.reads = False
        self.flush()
        self.assertEqual(lost, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertFalse(new.pipe.server.gone)
        verdicts = self.ask(LOGIN)
        old.rule(0, 5)
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 5)])
        self.assertEqual(
            (self.count("connected"), self.count("questions_unavailable")), (1, 1)
        )
        self.assertEqual(old.roles[-1], (sorted(BOTH), "old"))
        self.assertEqual([line for line in self.log if "gives way" in line], [])
        back = self.again(new, 2)
        self.ask(LOGIN)
        self.assertEqual(len(back.asked), 1)
        new.pipe.cut()
        self.assertEqual(self.count("connected"), 2)

    def test_stopTellsNoRoles(self):
        """At the end nobody is told to take over."""
        one, two = self.server("one"), self.server("two")
        stopping = self.service.stopService()
        self.flush()
        self.successResultOf(stopping)
        self.assertEqual((one.roles, two.roles), ([(sorted(BOTH), "two")], []))

    def test_sameName(self):
        """A newer connection of a name ends the older; what was open gets 212."""
        other = self.server("other", verdicts=["VerifyUser"])
        old = self.server()
        verdicts = [self.ask(LOGIN), self.ask(ENTRY)]
        new = self.server()
        self.assertEqual(verdicts, [[Verdict(ResultCode.SERVER_RESTART)]] * 2)
        self.assertEqual(old.reason.code, ResultCode.SERVER_RESTART)
        self.assertEqual(
            [event.error for _, event in new.events() if hasattr(event, "error")],
            [ResultCode.SERVER_RESTART, ResultCode.SUCCESS],
        )
        self.ask(LOGIN)
        self.assertEqual(len(new.asked), 1)
        self.assertEqual(other.roles, [(["VerifyUser"], "shop")])
        self.assertEqual((self.count("replaced"), self.count("connected")), (1, 2))
        self.assertIn("(errorcode=212)", "".join(self.log))
        self.assertFalse([line for line in self.log if "disconnect" in line])
        self.assertEqual(self.core.arbiters_told[-1], ("THERE", "THERE", True))

    def test_sameNameIsNewest(self):
        """A newer connection counts as the newest, whatever its name was."""
        self.server("a")
        other = self.server("b")
        self.server("a")
        self.assertEqual(other.roles, [(sorted(BOTH), "a")])

    def test_sameNameNothingOpen(self):
        """Where nothing was under way, nothing is said of it."""
        self.server()
        new = self.server()
        self.assertEqual(
            [event.error for _, event in new.events() if hasattr(event, "error")],
            [ResultCode.SUCCESS],
        )

    def test_otherVerdicts(self):
        """A name that comes back with other wishes has those."""
        self.server("old")
        self.server("new")
        self.server("new", verdicts=[])
        self.assertEqual(self.core.arbiters_told[-1], ("THERE", "THERE", True))
        self.assertEqual(
            self.log[-1], "PrepareEnterRoom is answered by business server old"
        )


class QuestionTests(BusinessTestCase):
    """Every question has exactly one answer."""

    def test_verdict(self):
        """What was answered reaches the core as it is."""
        server = self.server()
        verdicts = self.ask(LOGIN)
        self.assertEqual(server.asked[0][0], LOGIN)
        server.asked.pop(0)[1].callback(Verdict(ResultCode.SUCCESS, 5, 2, "Anna"))
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 5, 2, "Anna")])
        verdicts = self.ask(ENTRY)
        server.rule(304)
        self.assertEqual(verdicts[0].code, 304)
        self.assertEqual(self.count("questions_answered"), 2)
        self.assertEqual(self.count("questions_open"), 0)

    def test_nobody(self):
        """Without a business server it is 206."""
        self.assertEqual(self.ask(LOGIN), [Verdict(ResultCode.SERVERSDK_FAIL)])

    def test_drop(self):
        """When the connection goes, each gets 206 at once, and only once."""
        server = self.server()
        verdicts = [self.ask(LOGIN) for _ in range(1000)]
        server.pipe.cut()
        self.assertEqual(verdicts, [[Verdict(ResultCode.SERVERSDK_FAIL)]] * 1000)
        self.assertEqual(self.count("questions_unavailable"), 1000)
        self.reactor.advance(60)
        self.assertEqual(sum(map(len, verdicts)), 1000)
        self.assertEqual(self.count("questions_timeout"), 0)

    def test_dropUnsent(self):
        """Those that wait behind events get theirs too."""
        self.serve(window_events=1)
        server = self.server(eager=False)
        self.tell(1, 7)
        verdicts = self.ask(ENTRY)
        self.assertEqual((server.asked, self.count("questions_open")), ([], 1))
        server.pipe.cut()
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])

    def test_timeout(self):
        """No answer in time is 207; a late one does nothing and is counted."""
        server = self.server()
        verdicts = self.ask(LOGIN)
        self.reactor.advance(4.9)
        self.assertEqual(verdicts, [])
        self.reactor.advance(0.2)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        server.rule(0, 5)
        self.assertEqual(len(verdicts), 1)
        self.assertEqual(
            (self.count("questions_timeout"), self.count("questions_late")), (1, 1)
        )
        self.assertEqual(
            self.log[-1],
            "Warning:Business server(shop) gave no verdict on VerifyUser in 5 s.",
        )
        server.pipe.cut()
        self.assertEqual(self.count("questions_late"), 1, "after the connection")

    def test_timeoutUnsent(self):
        """One that never went out is not put any more."""
        self.serve(window_events=1)
        server = self.server(eager=False)
        self.tell(1, 7)
        verdicts = self.ask(ENTRY)
        self.reactor.advance(5)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        for number, _ in server.events():
            server.acknowledge(number)
        for number, _ in server.events():
            server.acknowledge(number)
        self.assertEqual(server.asked, [])

    def test_tooMany(self):
        """There is a bound to what waits; beyond it is 207 at once."""
        self.serve(questions=9)
        self.server()
        for _ in range(9):
            self.service.ask(LOGIN)
        self.assertEqual(self.ask(LOGIN), [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        self.assertEqual(self.count("questions_refused"), 1)
        self.assertEqual(self.count("questions_open"), 9)

    def test_severalOfOne(self):
        """What clients may ask several times takes half, logins find a place."""
        self.serve(questions=9)
        kinds = "VerifyUser", "OnVideoCallEvent", "OnUserInfoControl"
        server = self.server(verdicts=kinds)
        several = (
            OnVideoCallEvent(1, 7, 8, ResultCode.SUCCESS, 3, 0, ""),
            OnUserInfoControl(7, 8, 100, 0, 0, ""),
        )
        for number in range(4):
            self.service.ask(several[number % 2])
        for question in several:
            refused = [Verdict(ResultCode.SERVERSDK_TIMEOUT)]
            self.assertEqual(self.ask(question), refused)
        verdicts = self.ask(LOGIN)
        server.asked.pop()[1].callback(Verdict(ResultCode.CERTIFY_FAIL))
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.CERTIFY_FAIL)])
        self.reactor.advance(5)
        self.assertEqual(self.ask(several[0]), [])

    def test_tooManyUnsent(self):
        """Those that ran out of time in the queue count until they leave it."""
        self.serve(window_events=1, questions=9)
        self.server(eager=False)
        self.tell(1, 7)
        for _ in range(9):
            self.service.ask(ENTRY)
        self.reactor.advance(5)
        self.assertEqual(self.count("questions_open"), 0)
        self.assertEqual(self.ask(LOGIN), [Verdict(ResultCode.SERVERSDK_TIMEOUT)])

    def test_failure(self):
        """One whose handler fails answers 206, and stays."""
        server = self.server()
        verdicts = self.ask(LOGIN)
        server.asked.pop(0)[1].errback(RuntimeError("bug"))
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.count("connected"), 1)

    def test_askedFromInside(self):
        """What an answer leads to may ask again, to whoever is there by then."""
        server = self.server()
        more = []
        asked = self.service.ask(LOGIN)
        asked.addCallback(lambda _: more.append(self.ask(LOGIN)))
        server.pipe.cut()
        self.assertEqual(more, [[Verdict(ResultCode.SERVERSDK_FAIL)]])


class QuestionProperties(SynchronousTestCase):
    """Whoever comes and goes, nobody waits for ever."""

    @settings(deadline=None, max_examples=80)
    @given(
        st.lists(
            st.tuples(st.sampled_from("nnqqqacdtt"), st.integers(0, 5)),
            min_size=10,
            max_size=50,
        )
    )
    def test_oneAnswer(self, steps):
        """Each question ends once, in time, and the core knows who is there."""
        bench = BusinessTestCase()
        bench.serve(questions=4)
        servers, questions, put = {}, [], []
        wishes = (BOTH, ("VerifyUser",), ())

        def ask(value):
            question = LOGIN if value % 2 else ENTRY
            put.append((question, bench.reactor.seconds()))
            questions.append(bench.ask(question))

        def come(value):
            name = "abc"[value % 3]
            servers.pop(name, None)
            servers[name] = bench.server(name, wishes[(value + len(put)) % 3])

        def go(value):
            if servers:
                server = servers.pop(list(servers)[value % len(servers)])
                server.pipe.cut()

        def answer(value):
            for server in servers.values():
                if server.asked:
                    server.rule(0, 7)

        def away(value):
            for server in servers.values():
                server.pipe.client.reads = not value % 2

        for kind, value in steps:
            {
                "n": come,
                "q": ask,
                "a": answer,
                "c": go,
                "d": away,
                "t": bench.reactor.advance,
            }[kind](value)
            bench.flush()
            now = bench.reactor.seconds()
            for verdicts, (_, since) in zip(questions, put, strict=True):
                self.assertLessEqual(len(verdicts), 1)
                self.assertTrue(verdicts or now - since < 5)
            wanted = set().union(
                *(
                    server.link.introduction.verdicts
                    for server in servers.values()
                    if server.reason is None
                )
            )
            told = [arbiter == "THERE" for arbiter in bench.core.arbiters_told[-1][:2]]
            self.assertEqual(told, [verdict in wanted for verdict in BOTH])
            self.assertEqual(bench.count("questions_open"), questions.count([]))
        stopping = bench.service.stopService()
        bench.flush()
        bench.reactor.advance(10)
        bench.flush()
        self.successResultOf(stopping)
        self.assertEqual(
            [len(verdicts) for verdicts in questions], [1] * len(questions)
        )
        ended = [
            bench.count(f"questions_{end}")
            for end in ("answered", "timeout", "refused", "unavailable", "without")
        ]
        self.assertEqual(bench.count("questions_withdrawn"), 0)
        self.assertEqual(sum(ended), len(questions))


class CallTests(BusinessTestCase):
    """What business servers want done."""

    def test_call(self):
        """Any that is connected may call."""
        self.core.answer = Answer(ResultCode.SUCCESS, (3, -2))
        server = self.server(verdicts=[])
        result = server.link.call(commands.GetOnlineUsers, room_id=-1)
        self.flush()
        self.assertEqual(self.successResultOf(result), {"ids": (-2, 3), "more": False})
        self.assertEqual(self.core.calls, [GetOnlineUsers(-1)])
        self.assertEqual(self.count("calls"), 1)

    def test_refused(self):
        """A refusal reaches the caller as its code, and is counted."""
        self.core.answer = Answer(ResultCode.ROOM_INVALID)
        server = self.server()
        result = server.link.call(commands.GetOnlineUsers, room_id=9)
        self.flush()
        error = self.failureResultOf(result, Refused).value
        self.assertEqual(error.code, ResultCode.ROOM_INVALID)
        self.assertEqual(self.count("calls_refused"), 1)

    def test_afterwards(self):
        """One that is gone learns that nothing came of it."""
        server = self.server()
        server.pipe.cut()
        result = server.link.call(commands.GetRoomIdList)
        self.failureResultOf(result, Unavailable)


class DocumentTests(BusinessTestCase):
    """docs/business.md, in the core server."""

    def setUp(self):
        """Read the page."""
        super().setUp()
        page = (ROOT / "docs" / "business.md").read_text(encoding="utf-8")
        self.page = page.partition("## In the core server")[2]

    def test_counters(self):
        """Every number that is counted is explained, in this order."""
        table = self.page.partition("### Counters")[2]
        named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        statistics = self.service.statistics()
        self.assertEqual(sorted(named), sorted(statistics))
        self.assertEqual(tuple(named[: len(COUNTERS)]), COUNTERS)
        self.assertEqual(set(named[len(COUNTERS) :]), GAUGES)

    def test_limits(self):
        """The numbers on the page are those of the settings."""
        settings = BusinessChannelSettings(port=1)
        for text in (
            f"{settings.window_events} events and {settings.window_bytes >> 20} MiB",
            f"{settings.window_events // SHARE_OF_EVENTS} such events and "
            f"{settings.window_bytes // SHARE_OF_BYTES >> 10} KiB wait",
            f"{settings.queue_bytes >> 20} MiB are kept",
            f"counted with {OVERHEAD} bytes",
            f"{settings.names} names are",
            f"{settings.questions:,} questions wait",
            f"{settings.questions // 2:,} about calls and control codes",
            f"{settings.channels_per_address} from one address",
            f"{settings.channels_overall} in all",
            f"within {settings.begin_time:g} s",
            f"silent for {settings.timeout:g} s",
            f"in {settings.answer_timeout:g} s.",
        ):
            self.assertIn(text, " ".join(self.page.split()))

    def test_lines(self):
        """The log's lines are as the page has them."""
        self.serve(names=1, questions=1, window_events=1, queue_bytes=1000)
        self.server("a", verdicts=["VerifyUser"]).pipe.cut()
        self.server("b", verdicts=["VerifyUser"])
        server = self.server("b", verdicts=["VerifyUser"], eager=False)
        for _ in range(2):
            self.ask(LOGIN)
        server.link.transport.write(encode_box([(ANSWER, b"1"), (b"code", b"yes")]))
        self.flush()
        self.ask(LOGIN)
        self.reactor.advance(5)
        for _ in range(2):
            self.service.tell(OnTransBuffer(5, b"x"))
        for number in range(20):
            self.service.tell(happening(number))
        for _ in range(17):
            self.plug(Peer())
        server.acknowledge(99)
        log_lines = self.page.partition("### Counters")[0]
        variable = r"\b(?:NAME|IP|PORT|REASON|CODE|N|16|10000)\b|\.\.\."
        shapes = [
            ".+".join(map(re.escape, re.split(variable, line)))
            for line in re.findall(r"^\| `(.+?)` \|", log_lines, re.MULTILINE)
        ]
        self.assertEqual(len(shapes), 13)
        met = [any(re.fullmatch(s, line) for line in self.log) for s in shapes]
        self.assertEqual([s for s, m in zip(shapes, met, strict=True) if not m], [])
        for line in self.log:
            line = re.sub(r" \(\d+ more before\)$", "", line)
            self.assertTrue(any(re.fullmatch(s, line) for s in shapes), line)


class ReactorTests(SynchronousTestCase):
    """The double used here."""

    def test_ports(self):
        """Its ports go when they are closed."""
        reactor = Reactor()
        port = reactor.listenTCP(1, None, backlog=1, interface="::1")
        port.stopListening()
        self.assertEqual(reactor.ports, [])


class LiveTests(TestCase):
    """Over real sockets, with TLS."""

    def setUp(self):
        """A service on a port of its own."""
        self.core = Core()
        self.log = []
        self.service = self.make()
        self.service.startService()
        self.port = self.service.addresses()[0].port

    def make(self, port=0, **settings):
        """A service; nothing is started."""
        return BusinessService(
            reactor,
            BusinessChannelSettings(port=port, password="open sesame", **settings),
            self.core,
            FACTS,
            os.urandom,
            self.log.append,
            server_context(),
            lambda: True,
        )

    def connect(self, server):
        """Its link; fires when it is over."""
        over = Deferred()
        server.link_lost = lambda link, reason: over.callback(reason.value)
        link = BusinessLink(
            server,
            Introduction("shop", "test", frozenset(BOTH), frozenset("*")),
            password="open sesame",
            tls=client_options(),
            seconds=reactor.seconds,
            call_later=reactor.callLater,
            random_bytes=os.urandom,
        )
        reactor.connectTCP(
            "127.0.0.1", self.port, ClientFactory.forProtocol(lambda: link)
        )
        return over

    @inlineCallbacks
    def test_live(self):
        """A question is answered, events come in order, a stop says why."""
        begun, all_told = Deferred(), Deferred()
        server = Server(None, verdict=Verdict(ResultCode.SUCCESS, 7))
        server.link_begun = lambda link, hello, lost: begun.callback(None)
        numbers = []

        def told(link, number, event):
            numbers.append(number)
            link.acknowledge(number)
            if number == 5002:
                all_told.callback(None)

        server.link_event = told
        over = self.connect(server)
        yield begun
        verdict = yield self.service.ask(LOGIN)
        self.assertEqual(verdict, Verdict(ResultCode.SUCCESS, 7))
        for number in range(5000):
            self.service.tell(happening(number))
        yield all_told
        self.assertEqual(numbers, list(range(1, 5003)))
        yield self.service.stopService()
        reason = yield over
        self.assertEqual(reason.code, ResultCode.CONNECT_OFFLINE)
        self.assertEqual(self.service.statistics()["connected"], 0)

    @inlineCallbacks
    def test_hung(self):
        """One that reads nothing is cut off by a stop, and its question answered."""
        begun = Deferred()
        server = Server(None)
        server.link_event = lambda *event: None

        def let_in(link, hello, lost):
            server.transport = link.transport
            link.transport.pauseProducing()
            begun.callback(None)

        server.link_begun = let_in
        over = self.connect(server)
        yield begun
        asked = self.service.ask(LOGIN)
        for number in range(2000):
            self.service.tell(OnRecvUserFilterData(1 + number, b"x" * 50_000))
        self.assertLess(self.service.statistics()["queue_bytes"], 65 << 20)
        self.assertGreater(self.service.statistics()["events_dropped"], 500)
        yield self.service.stopService()
        verdict = yield asked
        self.assertEqual(verdict, Verdict(ResultCode.SERVERSDK_FAIL))
        server.transport.resumeProducing()
        yield over

    @inlineCallbacks
    def test_portInUse(self):
        """A taken port fails the start, and nothing is left listening."""
        second = self.make(self.port)
        self.assertRaises(CannotListenError, second.startService)
        self.assertEqual((second.running, second.addresses()), (False, []))
        yield self.service.stopService()
