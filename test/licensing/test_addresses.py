"""Bindings to a name and to an address."""

import socket
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from anychat.licensing.addresses import (
    MAX_ADDRESSES,
    RESOLVE_TIMEOUT,
    ResolveTimeout,
    check_address,
    check_domain,
    host_addresses,
    resolver,
)
from anychat.licensing.licence import AddressBinding, DomainBinding

OWN = frozenset(map(ip_address, ("192.0.2.7", "2001:db8::7")))
VIDEO = DomainBinding("video.anychat.cn")


@implementer(IHostnameResolver)
class Names:
    """A name service that answers when the test lets it."""

    def __init__(self):
        self.asked = []

    def resolveHostName(self, receiver, hostName, *rest, **more):
        """See `IHostnameResolver`."""
        verifyObject(IResolutionReceiver, receiver)
        receiver.resolutionBegan(None)
        self.asked.append((hostName, receiver))


class ResolverTests(SynchronousTestCase):
    """`resolver`, which asks Twisted's."""

    def setUp(self):
        self.names, self.clock = Names(), Clock()
        self.resolve = resolver(self.names, self.clock)

    def test_addresses(self):
        """All addresses of the name, as text."""
        found = self.resolve("video.anychat.cn")
        ((name, receiver),) = self.names.asked
        self.assertEqual(name, "video.anychat.cn")
        receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", 0))
        receiver.addressResolved(IPv6Address("TCP", "2001:db8::7", 0))
        self.assertNoResult(found)
        receiver.resolutionComplete()
        self.assertEqual(self.successResultOf(found), ["192.0.2.7", "2001:db8::7"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence(self):
        """No answer in time; the answer that comes later is nobody's."""
        found = self.resolve("video.anychat.cn")
        self.clock.advance(RESOLVE_TIMEOUT)
        self.failureResultOf(found, ResolveTimeout)
        ((_, receiver),) = self.names.asked
        receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", 0))
        receiver.resolutionComplete()

    def test_hung(self):
        """A lookup that hangs is not joined by more; others are not held up."""
        first, second = self.resolve("video.anychat.cn"), self.resolve("other.cn")
        self.clock.advance(RESOLVE_TIMEOUT)
        for found in first, second, self.resolve("video.anychat.cn"):
            self.failureResultOf(found, ResolveTimeout)
        self.assertNoResult(self.resolve("third.cn"))
        self.assertEqual(len(self.names.asked), 3)
        self.names.asked[0][1].resolutionComplete()
        self.assertNoResult(self.resolve("video.anychat.cn"))

    def test_tooMany(self):
        """A name of very many addresses fills no memory."""
        found = self.resolve("video.anychat.cn")
        ((_, receiver),) = self.names.asked
        for _ in range(MAX_ADDRESSES + 5):
            receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", 0))
        receiver.resolutionComplete()
        self.assertEqual(len(self.successResultOf(found)), MAX_ADDRESSES)


class DomainTests(SynchronousTestCase):
    """`check_domain`."""

    def check(self, *answer, binding=VIDEO):
        """What is found if that is the name service's answer."""
        return self.successResultOf(
            check_domain(binding, lambda name: succeed(answer), OWN)
        )

    def test_here(self):
        """The name leads to this host, by IPv4 or IPv6."""
        for address in ("192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"):
            found = self.check(address)
            self.assertTrue(found.ok, address)
            self.assertIn("video.anychat.cn leads to", found.text)

    def test_oneOfSeveral(self):
        """One of the addresses is enough: the name may stand for several servers."""
        self.assertTrue(self.check("198.51.100.1", "192.0.2.7").ok)

    def test_elsewhere(self):
        """840: another host; it may be a lie of the moment."""
        found = self.check("198.51.100.1")
        self.assertEqual((found.code, found.passing), (840, True))
        self.assertIn("leads to 198.51.100.1", found.text)
        self.assertIn("192.0.2.7, 2001:db8::7", found.text)
        self.assertIn("PublicAddress", found.text)

    def test_loopback(self):
        """Every host is 127.0.0.1, so that it is no proof."""
        self.assertEqual(self.check("127.0.0.1", "::1").code, 840)

    def test_none(self):
        """842: the name has no address, or only something else."""
        for answer in ((), ("nonsense", "")):
            found = self.check(*answer)
            self.assertEqual((found.code, found.passing), (842, True))
            self.assertIn("/etc/resolv.conf", found.text)

    def test_silence(self):
        """842 as well if the name service does not answer."""
        clock = Clock()
        found = check_domain(VIDEO, resolver(Names(), clock), OWN)
        clock.advance(RESOLVE_TIMEOUT)
        found = self.successResultOf(found)
        self.assertEqual((found.code, found.passing), (842, True))
        self.assertIn("no answer in 10 seconds", found.text)

    def test_fault(self):
        """842 if it fails in whatever way."""
        found = self.successResultOf(
            check_domain(VIDEO, lambda name: fail(DNSLookupError("refused")), OWN)
        )
        self.assertEqual(found.code, 842)
        self.assertIn("refused", found.text)

    def test_noName(self):
        """860: what the licence has is no host name; nobody is asked."""
        for name in ("", "a..b", "-a.cn", "a b.cn", "192.0.2.7", "x" * 300, "a\n.cn"):
            found = self.successResultOf(
                check_domain(DomainBinding(name), lambda name: Deferred(), OWN)
            )
            self.assertEqual((found.code, found.passing), (860, False), name)
            self.assertTrue(found.text.isprintable())

    def test_manyAddresses(self):
        """The text stays readable."""
        found = self.check(*(f"198.51.100.{n}" for n in range(200)))
        self.assertIn("and 195 more", found.text)


class AddressTests(SynchronousTestCase):
    """`check_address`."""

    def check(self, *addresses):
        """What is found for a licence of these addresses."""
        return check_address(AddressBinding(addresses), OWN)

    def test_here(self):
        """One of the licence's addresses or networks is enough."""
        for addresses in (
            ("192.0.2.7",),
            ("198.51.100.1", "2001:db8::7"),
            ("192.0.2.0/24",),
            ("2001:db8::/32",),
        ):
            self.assertTrue(self.check(*addresses).ok, addresses)

    def test_elsewhere(self):
        """850: none of them; addresses may come late, so it may pass."""
        for addresses in (("198.51.100.1",), ("192.0.2.8/30", "::1"), ("127.0.0.1",)):
            found = self.check(*addresses)
            self.assertIn(f"bound to {addresses[0]}", found.text)
            self.assertEqual((found.code, found.passing), (850, True))
            self.assertIn("this host has 192.0.2.7, 2001:db8::7", found.text)

    def test_noAddress(self):
        """862: what the licence has is no address."""
        for addresses in ((), ("",), ("video.anychat.cn",), ("192.0.2.7/99",)):
            found = self.check(*addresses)
            self.assertEqual((found.code, found.passing), (862, False), addresses)

    def test_withoutNetwork(self):
        """A host that has no address yet."""
        found = check_address(AddressBinding(("192.0.2.7",)), frozenset())
        self.assertIn("this host has no address", found.text)


class HostTests(SynchronousTestCase):
    """`host_addresses`."""

    def test_thisHost(self):
        """What it finds can be bound to, and is not loopback."""
        for address in host_addresses():
            self.assertFalse(address.is_loopback)
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            with socket.socket(family, socket.SOCK_DGRAM) as port:
                port.bind((str(address), 0))

    def test_ipv6(self):
        """/proc/net/if_inet6: neither ::1 nor link-local nor a duplicate."""
        root = Path(self.mktemp())
        (root / "proc/net").mkdir(parents=True)
        (root / "proc/net/if_inet6").write_text(
            "00000000000000000000000000000001 01 80 10 80       lo\n"
            "20010db8000000000000000000000007 02 40 00 80     eth0\n"
            "20010db8000000000000000000000008 02 40 00 08     eth0\n"
            "fe800000000000000000fffe00000001 02 40 20 80     eth0\n"
            "nonsense\n"
        )
        found = {one for one in host_addresses(root) if one.version == 6}
        self.assertEqual(found, {ip_address("2001:db8::7")})

    def test_withoutIpv6(self):
        """A system without IPv6 has addresses all the same."""
        found = host_addresses(Path(self.mktemp()))
        self.assertEqual({one for one in found if one.version == 6}, set())
