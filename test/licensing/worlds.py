"""A server and all that its licence can be bound to, and what may become of them.

`World` is a machine, a name service, addresses and a bus for UKeys; `CHANGES` are
what happens to them.  The checks that look at it are the server's own.
"""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import patch

from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from usb.backend import libusb1
from usb.core import USBError

from anychat.licensing import fingerprint
from anychat.licensing.check import Host, check_all
from anychat.licensing.findings import Finding
from anychat.licensing.hardware import read_machine
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    HardwareBinding,
    Hashes,
)
from test.licensing.machines import FakeMachine
from test.licensing.simulated_key import SimulatedBus, SimulatedKey

NAME = "video.example"
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"
SALT = bytes(16)


class NotThere(Exception):
    """This world has no such part."""


@dataclass
class World:
    """A server as it was when it got its licence."""

    machine: FakeMachine
    addresses: tuple[str, ...] = (HERE,)
    public_addresses: tuple[str, ...] = ()
    names: dict[str, "list[str] | None"] = field(default_factory=lambda: {NAME: [HERE]})
    """None: the name service does not answer."""

    def __post_init__(self) -> None:
        clock = Clock()
        self.key = SimulatedKey(clock)
        self.key.signing_time = 0
        self.bus = SimulatedBus(clock, self.key)
        self.has_libusb = True

    def resolve(self, name: str) -> "Deferred[Sequence[str]]":
        """Ask the name service."""
        answer = self.names.get(name, [])
        if answer is None:
            return fail(TimeoutError("no answer in 10 seconds"))
        return succeed(answer)

    def host(self) -> Host:
        """What the server's checks look at."""
        return Host(
            self.resolve,
            execute,
            tuple(map(ip_address, self.public_addresses)),
            own_addresses=lambda: frozenset(map(ip_address, self.addresses)),
            root=self.machine.root,
            ukey_backend=self.bus if self.has_libusb else None,
        )

    def look(self, bindings: Sequence[Binding]) -> list[Finding]:
        """What the server finds now."""
        found: list[list[Finding]] = []
        with patch.object(libusb1, "get_backend", lambda: None):
            check_all(bindings, self.host()).addCallback(found.append)
        return found[0]

    def bind_hardware(
        self, *, everybody: bool = False, percent: int = fingerprint.DEFAULT_PERCENT
    ) -> HardwareBinding:
        """To the machine as it is now.

        :param everybody: to what needs no privileges to be read.
        :param percent: how much of it must match.
        """
        machine = read_machine(self.machine.root)
        if everybody:
            machine = machine.for_everybody()
        parts = frozenset(machine.parts.items())
        return fingerprint.bind(_hashes(parts), SALT.hex(), percent=percent)


@cache
def _hashes(parts: "frozenset[tuple[str, tuple[str, ...]]]") -> Hashes:
    """The hashes of a machine, which take their time."""
    return fingerprint.hash_parts(dict(parts), SALT)


def server(root: Path) -> World:
    """A rack server of two disks and two interfaces."""
    return World(FakeMachine(root))


def virtual_machine(root: Path) -> World:
    """A virtual machine, as most clouds give one: no serial numbers but its UUID."""
    world = World(FakeMachine(root))
    machine = world.machine
    machine.set_cpu(flags="hypervisor")
    machine.write("sys/class/dmi/id/board_serial", "Not Specified", 0o400)
    machine.write("sys/class/dmi/id/product_serial", "Not Specified", 0o400)
    machine.remove_devices("block")
    machine.add_disk("vda", "drive-scsi0", file="serial")
    machine.remove_devices("class/net")
    machine.add_interface("eth0", "52:54:00:a1:b2:c3")
    return world


def _disks(world: World) -> list[str]:
    machine = world.machine
    names = sorted(path.name for path in machine.path("sys/block").iterdir())
    if names == ["vda"]:
        raise NotThere
    return names


def _replace_disks(world: World, count: int) -> None:
    for name in _disks(world)[:count]:
        world.machine.write(f"sys/block/{name}/device/serial", f"NEW{name}7001")


def _interfaces(world: World) -> list[str]:
    return sorted(p.name for p in world.machine.path("sys/class/net").iterdir())


def _replace_interfaces(world: World, count: int) -> None:
    names = _interfaces(world)
    if count < 2 and len(names) < 2:
        raise NotThere
    for number, name in enumerate(names[:count]):
        world.machine.write(
            f"sys/class/net/{name}/address", f"52:54:00:ff:ee:0{number}"
        )


def _new_board(world: World) -> None:
    """The interfaces are on it, the disks are not."""
    if "eth0" in _interfaces(world):
        raise NotThere
    _new_identity(world)
    _replace_interfaces(world, 2)


def _new_identity(world: World) -> None:
    machine = world.machine
    machine.write(
        "sys/class/dmi/id/product_uuid", "5d5d5555-0036-3510-8052-c5d05f5e4443", 0o400
    )
    if "eth0" not in _interfaces(world):
        machine.write("sys/class/dmi/id/board_serial", ".F65R2M3.CNFCP007A.", 0o400)


def _new_machine_id(world: World) -> None:
    world.machine.write("etc/machine-id", "99d1219c7c4c5404aaa1f6d2a48adf99")


def _copied(world: World) -> None:
    """All that is on the disk is the same, and what CPU and RAM say."""
    _new_identity(world)
    _replace_interfaces(world, 9)
    if "eth0" not in _interfaces(world):
        _replace_disks(world, 9)
    world.addresses = (ELSEWHERE,)
    world.bus.keys.clear()


def _moved(world: World) -> None:
    """Nothing is the same, but the name follows, and the key came along."""
    _copied(world)
    _new_machine_id(world)
    world.machine.set_cpu(old="Silver 4310", new="Gold 6338")
    world.names[NAME] = [ELSEWHERE]
    world.bus.keys.append(world.key)


def _contained(world: World) -> None:
    """A container has a network, an address and a machine-id of its own."""
    machine = world.machine
    machine.write(".dockerenv", "")
    machine.remove_devices("class/net")
    machine.add_interface("eth0", "02:42:ac:11:00:02", where="virtual/net")
    machine.remove("etc/machine-id")
    world.addresses = ("172.17.0.2",)
    world.bus.keys.clear()


def _contained_with_parts(world: World) -> None:
    """The same with the host's network, machine-id and USB."""
    world.machine.write(".dockerenv", "")


def _hidden(world: World) -> None:
    world.machine.remove("sys/class/dmi/id")


def _behind_nat(world: World) -> None:
    world.addresses = ("10.0.0.5",)


def _behind_known_nat(world: World) -> None:
    _behind_nat(world)
    world.public_addresses = (HERE,)


def _forbidden(world: World) -> None:
    world.key.open_fault = USBError("Access denied", -3, errno.EACCES)


def _garbled(world: World) -> None:
    world.key.info = bytes(64)


def _other_key(world: World) -> None:
    other = SimulatedKey(world.bus.clock, "UK-0002")
    other.signing_time = 0
    world.bus.keys[:] = [other]


def _faked_key(world: World) -> None:
    """A key that has the right serial number and cannot sign."""
    _other_key(world)
    world.bus.keys[0].serial = world.key.serial


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happens to a server."""

    title: str
    happen: Callable[[World], None]


CHANGES = (
    Change("nothing", lambda world: None),
    Change(
        "a disk is added",
        lambda world: world.machine.add_disk("nvme9n1", "S4EVNX0R7999"),
    ),
    Change("one of two disks is replaced", lambda world: _replace_disks(world, 1)),
    Change("all disks are replaced", lambda world: _replace_disks(world, 9)),
    Change(
        "a network card is added",
        lambda world: world.machine.add_interface("eno9", "b0:4f:13:0a:1b:99"),
    ),
    Change(
        "one of two network cards is replaced",
        lambda world: _replace_interfaces(world, 1),
    ),
    Change(
        "all network cards are replaced", lambda world: _replace_interfaces(world, 9)
    ),
    Change(
        "all disks and network cards are replaced",
        lambda world: (_replace_disks(world, 9), _replace_interfaces(world, 9)),
    ),
    Change(
        "another CPU model, as many CPUs",
        lambda world: world.machine.set_cpu(old="Silver 4310", new="Gold 6338"),
    ),
    Change(
        "other CPUs, and twice the RAM",
        lambda world: (
            world.machine.set_cpu(old="Silver 4310", new="Gold 6338"),
            world.machine.write("sys/devices/system/cpu/present", "0-63"),
            world.machine.set_ram(32_700_000),
        ),
    ),
    Change("the main board is replaced, with its network cards", _new_board),
    Change("the system is installed anew", _new_machine_id),
    Change(
        "all disks are replaced and the system is installed anew",
        lambda world: (_replace_disks(world, 9), _new_machine_id(world)),
    ),
    Change("root's files of the board are no longer readable", _hidden),
    Change("a copy of the disk runs on another machine of the same make", _copied),
    Change("everything moves to another machine, name and UKey too", _moved),
    Change("it moves into a container of its own network", _contained),
    Change(
        "it moves into a container with the host's network, machine-id and USB",
        _contained_with_parts,
    ),
    Change(
        "the name leads elsewhere",
        lambda world: world.names.update({NAME: [ELSEWHERE]}),
    ),
    Change(
        "the name leads to 127.0.0.1",
        lambda world: world.names.update({NAME: ["127.0.0.1"]}),
    ),
    Change("the name is gone", lambda world: world.names.clear()),
    Change(
        "the name service does not answer",
        lambda world: world.names.update({NAME: None}),
    ),
    Change("the server goes behind a NAT", _behind_nat),
    Change("the same, with PublicAddress", _behind_known_nat),
    Change("the UKey is pulled out", lambda world: world.bus.keys.clear()),
    Change("another UKey is plugged in instead", _other_key),
    Change("another UKey says that it is the one", _faked_key),
    Change("the service's user may not use the UKey", _forbidden),
    Change("the UKey answers garbage", _garbled),
    Change("libusb is removed", lambda world: setattr(world, "has_libusb", False)),
)

#: What would not fail a licence of the usual weights, but one that wants everything.
SMALL_CHANGES = (
    Change(
        "CPU count",
        lambda world: world.machine.write("sys/devices/system/cpu/present", "0-63"),
    ),
    Change("RAM size", lambda world: world.machine.set_ram(32_700_000)),
    Change(
        "CPU model",
        lambda world: world.machine.set_cpu(old="Silver 4310", new="Gold 6338"),
    ),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A world with a way to bind a licence to it."""

    title: str
    world: Callable[[Path], World]
    bind: Callable[[World], Binding]


KINDS = (
    Kind("hardware, all of it", server, lambda world: world.bind_hardware()),
    Kind(
        "hardware, without root's files",
        server,
        lambda world: world.bind_hardware(everybody=True),
    ),
    Kind(
        "a virtual machine",
        virtual_machine,
        lambda world: world.bind_hardware(),
    ),
    Kind("domain", server, lambda world: DomainBinding(NAME)),
    Kind("address", server, lambda world: AddressBinding((HERE,))),
    Kind("UKey", server, lambda world: world.key.binding),
)

WHOLE_HARDWARE = Kind(
    "hardware that must be as it was",
    server,
    lambda world: world.bind_hardware(percent=100),
)
