"""All bindings of a licence, held against a host."""

from ipaddress import ip_address
from pathlib import Path

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.check import Host, check_all, check_binding
from anychat.licensing.licence import (
    AddressBinding,
    DomainBinding,
    HardwareBinding,
    UKeyBinding,
)

DOMAIN = DomainBinding("video.example")
ADDRESS = AddressBinding(("192.0.2.0/24",))
HARDWARE = HardwareBinding(
    "00" * 16, {"machine-id": ("11" * 32,)}, {"machine-id": 9}, 9
)
UKEY = UKeyBinding(0x1209, 1, "K1", "nonsense")


class CheckTests(SynchronousTestCase):
    """`check_binding` and `check_all`."""

    def host(self, resolve=lambda name: succeed(["192.0.2.1"]), **others):
        """A host with one address and no hardware to speak of."""
        return Host(
            resolve,
            maybeDeferred,
            own_addresses=lambda: frozenset((ip_address("192.0.2.1"),)),
            root=Path(self.mktemp()),
            **others,
        )

    def test_order(self):
        """Findings come in the order of the bindings, whoever answers first."""
        answer = Deferred()
        done = check_all([DOMAIN, ADDRESS, HARDWARE, UKEY], self.host(lambda _: answer))
        self.assertNoResult(done)
        answer.callback(["192.0.2.1"])
        self.assertEqual(
            [(one.subject, one.ok) for one in self.successResultOf(done)],
            [("domain", True), ("address", True), ("hardware", False), ("ukey", False)],
        )

    def test_none(self):
        """A licence that is bound to nothing has no findings."""
        self.assertEqual(self.successResultOf(check_all([], self.host())), [])

    def test_publicAddress(self):
        """A domain may lead to PublicAddress; an address must be the host's own."""
        host = self.host(
            lambda name: succeed(["198.51.100.7"]),
            public_addresses=(ip_address("198.51.100.7"),),
        )
        self.assertTrue(self.successResultOf(check_binding(DOMAIN, host)).ok)
        other = AddressBinding(("198.51.100.7",))
        self.assertFalse(self.successResultOf(check_binding(other, host)).ok)

    def test_threads(self):
        """Whatever may block is left to threads."""
        work = []
        host = Host(succeed, lambda *task: work.append(task) or Deferred())
        for number, binding in enumerate((DOMAIN, ADDRESS, HARDWARE, UKEY), 1):
            check_binding(binding, host)
            self.assertEqual(len(work), number)

    def test_faults(self):
        """A check that breaks is a finding with the binding's code, and may pass."""
        for binding, code in (
            (DOMAIN, ResultCode.CERTFILE_DOMAINFAIL),
            (ADDRESS, ResultCode.CERTFILE_IPADDRFAIL),
            (HARDWARE, ResultCode.CERTFILE_HDSIGFAIL),
            (UKEY, ResultCode.CERTFILE_UKEYFAIL),
        ):
            host = Host(succeed, lambda *task: fail(RuntimeError("odd")))
            finding = self.successResultOf(check_binding(binding, host))
            self.assertEqual((finding.code, finding.passing), (code, True))
            self.assertIn("RuntimeError: odd", finding.text)
