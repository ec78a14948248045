"""What STUN answers tell of a NAT, and the tool that asks."""

from argparse import Namespace

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.join import CANNOT_CONNECT, FINE
from anychat.client.nat import Answer, conclude, in_words
from anychat.client.udpcheck import UdpCheck
from anychat.media import stun

SERVER, OTHER = ("203.0.113.1", 8907), ("203.0.113.2", 8907)
LOCAL, SECOND = ("10.0.0.5", 4000), ("10.0.0.5", 4001)


def answer(local, mapped, server=SERVER):
    """One that took 20 ms."""
    return Answer(local, server, mapped, 0.020)


class NatTests(SynchronousTestCase):
    """`conclude` and `in_words`."""

    def test_nothing(self):
        """No answer: UDP does not get through."""
        found = conclude([], 8)
        self.assertEqual((found.reached, found.lost, found.nat), (False, 1.0, None))
        self.assertIn("does not get through", in_words(found)[0])

    def test_noNat(self):
        """Seen as it is here."""
        found = conclude([answer(LOCAL, LOCAL)], 1)
        self.assertEqual(
            (found.nat, found.port_kept, found.hairpin), (False, True, None)
        )
        self.assertIn("No NAT", in_words(found)[1])

    def test_portKept(self):
        """A NAT that changes the address alone."""
        found = conclude([answer(LOCAL, ("198.51.100.7", 4000))], 2)
        self.assertEqual((found.nat, found.port_kept, found.lost), (True, True, 0.5))
        self.assertIn("keeps ports", " ".join(in_words(found)))

    def test_portsInOrder(self):
        """One that gives ports one after the other."""
        found = conclude(
            [
                answer(LOCAL, ("198.51.100.7", 61000)),
                answer(SECOND, ("198.51.100.7", 61001)),
            ],
            2,
        )
        self.assertEqual(
            (found.port_kept, found.step, found.same_host), (False, 1, True)
        )
        self.assertIn("guessed", " ".join(in_words(found)))

    def test_mapping(self):
        """Two servers tell whether it depends on who is sent to."""
        first = answer(LOCAL, ("198.51.100.7", 61000))
        same = answer(LOCAL, ("198.51.100.7", 61000), OTHER)
        another = answer(LOCAL, ("198.51.100.7", 61005), OTHER)
        self.assertEqual(conclude([first], 1).mapping, "unknown")
        self.assertEqual(conclude([first, same], 2).mapping, "endpoint-independent")
        found = conclude([first, another], 2)
        self.assertEqual((found.mapping, found.stable), ("address-dependent", True))
        self.assertIn("unlikely", " ".join(in_words(found)))

    def test_changes(self):
        """A mapping that does not hold."""
        found = conclude(
            [
                answer(LOCAL, ("198.51.100.7", 61000)),
                answer(LOCAL, ("198.51.100.8", 61001)),
            ],
            2,
            hairpin=False,
        )
        self.assertEqual((found.stable, found.hairpin), (False, False))
        self.assertIn("changed the mapping", " ".join(in_words(found)))

    def test_addressesAreCompared(self):
        """Not their spelling."""
        found = conclude([answer(("::ffff:10.0.0.5", 4000), LOCAL)], 1)
        self.assertFalse(found.nat)


class Network:
    """A NAT with STUN servers behind it."""

    def __init__(self, clock, translate, hairpin=False):
        self.clock = clock
        self.translate = translate
        self.hairpin = hairpin
        self.ports = []

    def listenUDP(self, number, protocol, interface=""):
        """See `IReactorUDP`."""
        port = Port(self, protocol, 4000 + len(self.ports))
        self.ports.append(port)
        protocol.makeConnection(port)
        return port


class Port:
    """A local port."""

    def __init__(self, network, protocol, number):
        self.network, self.protocol, self.port = network, protocol, number
        self.host = "10.0.0.5"
        self.open = True

    def getHost(self):
        """Its address."""
        return self

    def write(self, data, to):
        """A datagram on its way."""
        network = self.network
        mapped = network.translate(self.port, to)
        for port in network.ports:
            if network.hairpin and network.translate(port.port, SERVER) == to:
                network.clock.callLater(
                    0.01, port.protocol.datagramReceived, data, mapped
                )
        if mapped is not None and to in (SERVER, OTHER):
            data = stun.success(stun.parse(data), mapped, None)
            network.clock.callLater(0.02, self.deliver, data, to)

    def deliver(self, data, source):
        """A datagram for it."""
        if self.open:
            self.protocol.datagramReceived(data, source)

    def stopListening(self):
        """Close it."""
        self.open = False
        return succeed(None)


class Printed:
    """What the tool prints."""

    def __init__(self):
        self.lines, self.objects = [], []

    def line(self, text):
        """A line."""
        self.lines.append(text)

    def object(self, event, values):
        """An object."""
        self.objects.append((event, values))


class UdpCheckTests(SynchronousTestCase):
    """`UdpCheck` behind NATs of the test's."""

    def check(self, translate, servers=(SERVER,), json=False, hairpin=False):
        """A whole run; exit code and what was printed."""
        clock, printed, complaints = Clock(), Printed(), []
        network = Network(clock, translate, hairpin)
        job = UdpCheck(
            clock,
            Namespace(address=SERVER, json=json),
            printed,
            complaints.append,
            network=network,
            find=lambda host, port: succeed(list(servers)),
            local=lambda server: "10.0.0.5",
        )
        job.start()
        for _ in range(60):
            clock.advance(0.1)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertFalse(any(port.open for port in network.ports))
        return self.successResultOf(job.done), printed, complaints

    def test_good(self):
        """Behind a NAT that keeps ports."""
        code, printed, _ = self.check(lambda port, to: ("198.51.100.7", port))
        self.assertEqual(code, FINE)
        self.assertIn("keeps ports", " ".join(printed.lines))

    def test_hairpin(self):
        """A datagram to ourselves comes back, or does not."""
        for hairpin in (True, False):
            _, printed, _ = self.check(
                lambda port, to: ("198.51.100.7", port), json=True, hairpin=hairpin
            )
            ((_, found),) = printed.objects
            self.assertEqual(found["hairpin"], hairpin)

    def test_symmetric(self):
        """Two addresses show that the mapping depends on them."""
        _, printed, _ = self.check(
            lambda port, to: ("198.51.100.7", port + 100 * (to == OTHER)),
            servers=(SERVER, OTHER),
            json=True,
        )
        ((event, found),) = printed.objects
        self.assertEqual(event, "udpcheck")
        self.assertEqual(found["mapping"], "address-dependent")
        self.assertTrue(found["verdict"])

    def test_blocked(self):
        """Nothing is answered: code 3."""
        code, printed, _ = self.check(lambda port, to: None)
        self.assertEqual(code, CANNOT_CONNECT)
        self.assertIn("does not get through", printed.lines[0])

    def test_noSuchName(self):
        """A name that there is not."""
        clock, printed, complaints = Clock(), Printed(), []

        def find(host, port):
            raise OSError("no such name")

        job = UdpCheck(
            clock,
            Namespace(address=SERVER, json=False),
            printed,
            complaints.append,
            network=Network(clock, lambda port, to: None),
            find=find,
        )
        job.start()
        self.assertEqual(self.successResultOf(job.done), CANNOT_CONNECT)
        self.assertIn("103", complaints[0])

    def test_interrupted(self):
        """ctrl-C prints what is known."""
        clock, printed = Clock(), Printed()
        job = UdpCheck(
            clock,
            Namespace(address=SERVER, json=False),
            printed,
            printed.lines.append,
            network=Network(clock, lambda port, to: ("198.51.100.7", port)),
            find=lambda host, port: succeed([SERVER]),
            local=lambda server: "10.0.0.5",
        )
        job.start()
        clock.advance(0.1)
        self.assertEqual(self.successResultOf(job.finish(FINE)), FINE)
        self.assertIn("gets through", printed.lines[0])
