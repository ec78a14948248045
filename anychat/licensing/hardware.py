"""What this machine is made of, read from /sys, /proc and /etc.

Values that tell nothing are left out: what makers leave in when they write no serial
number, devices that are no hardware, that are plugged in by USB, or whose address
somebody chose.  Nothing here needs to be root, but two components are readable by
root only where nobody changed that: the product UUID and the board's serial number.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anychat.licensing import fingerprint
from anychat.licensing.findings import Finding
from anychat.licensing.licence import HardwareBinding

#: Bytes of one file that are read: /proc/cpuinfo of one CPU has 2,000.
_MAX_FILE = 1 << 16
#: Devices of one kind that are looked at.
_MAX_DEVICES = 1024

_DMI = "sys/class/dmi/id"
#: UUIDs that makers ship by the thousand.
_COMMON_UUIDS = {
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaafbfb",
    "12345678-1234-1234-1234-123456789012",
}
#: Numbers that emulators give to the disks of every machine.
_COMMON_SERIALS = re.compile(r"QM\d+|VMware NVME_\d+|drive-\w+", re.ASCII)
_DIGITS = "0123456789" * 2


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as far as this process may see it."""

    parts: Mapping[str, tuple[str, ...]] = field(repr=False)
    """What it has, by `fingerprint.COMPONENTS`; raw, for no log."""
    absent: Mapping[str, str]
    """Why there is nothing of a component."""
    hidden: frozenset[str]
    """The absent ones that another user may be able to read."""
    privileged: frozenset[str]
    """Components that were read and that not everybody may read."""
    surroundings: str
    """"container", "virtual machine" or "machine"."""

    def for_everybody(self) -> "Machine":
        """What a process without privileges sees of it."""
        reason = "only some users may read it"
        return Machine(
            {k: v for k, v in self.parts.items() if k not in self.privileged},
            {**self.absent, **dict.fromkeys(self.privileged, reason)},
            self.hidden | self.privileged,
            frozenset(),
            self.surroundings,
        )


def check_hardware(binding: HardwareBinding, machine: Machine) -> Finding:
    """Whether it is the machine of the licence."""
    return fingerprint.compare(binding, machine.parts, machine.absent).verdict


class _Reading:
    """What one component is read from, and why it yields nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.reason = ""
        """Of the last file that could have held something."""
        self.privileged = self.hidden = False

    def path(self, name: str | Path) -> Path:
        """A file below the root."""
        return self._root / name

    def bytes(self, name: str | Path) -> bytes:
        """The beginning of a file; empty if it cannot be read."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_FILE)
                mode = os.fstat(file.fileno()).st_mode
        except PermissionError:
            self.hidden = True
            self.reason = f"this user may not read /{name}"
        except FileNotFoundError:
            self.reason = self.reason or f"there is no /{name}"
        except OSError as error:
            self.reason = f"/{name} cannot be read: {error.strerror}"
        else:
            self.privileged |= not mode & stat.S_IROTH
            self.reason = f"/{name} holds nothing that tells machines apart"
            return data
        return b""

    def text(self, name: str | Path) -> str:
        """The same as text without white space at its ends."""
        data = self.bytes(name).strip(b"\0 \t\r\n")
        return data.decode("utf-8", "replace")

    def devices(self, name: str) -> Iterator[Path]:
        """The pieces of hardware of a class that are there to stay."""
        try:
            entries = sorted(self.path(name).iterdir())[:_MAX_DEVICES]
        except OSError as error:
            self.reason = f"/{name} cannot be read: {error.strerror}"
            return
        self.reason = f"/{name} shows no hardware"
        root = self._root.resolve()
        for entry in entries:
            aim = entry.resolve()
            steps = aim.relative_to(root).parts if aim.is_relative_to(root) else ()
            # Where NVMe disks have two ports, Linux keeps them below a virtual device.
            if "virtual" in steps and "nvme-subsystem" not in steps:
                continue
            if any(step.startswith("usb") for step in steps):
                continue
            yield entry.relative_to(self._root)


def read_machine(root: Path = Path("/")) -> Machine:
    """Look at the machine.

    :param root: another directory than / for tests.
    """
    parts: dict[str, tuple[str, ...]] = {}
    absent: dict[str, str] = {}
    hidden, privileged = set(), set()
    for name, read in _READERS.items():
        reading = _Reading(root)
        if values := tuple(dict.fromkeys(filter(None, read(reading)))):
            parts[name] = values
            if reading.privileged:
                privileged.add(name)
        else:
            absent[name] = reading.reason
            if reading.hidden:
                hidden.add(name)
    return Machine(
        parts,
        absent,
        frozenset(hidden),
        frozenset(privileged),
        _surroundings(root),
    )


def _serial(value: str) -> str:
    """The value if it can be a serial number; otherwise empty."""
    if (
        not any(char.isdigit() for char in value)
        or len(set(value.strip("-. "))) <= 2
        or value in _DIGITS
        or _COMMON_SERIALS.fullmatch(value)
    ):
        return ""
    return value


def _product_uuid(reading: _Reading) -> Iterator[str]:
    for name in (f"{_DMI}/product_uuid", "sys/hypervisor/uuid"):
        value = _serial(reading.text(name).lower())
        if value and value not in _COMMON_UUIDS and len(set(value)) > 3:
            yield value
            return


def _board_serial(reading: _Reading) -> Iterator[str]:
    for name in (
        f"{_DMI}/board_serial",
        f"{_DMI}/product_serial",
        "sys/firmware/devicetree/base/serial-number",
    ):
        if value := _serial(reading.text(name)):
            yield value
            return


def _disk_serials(reading: _Reading) -> Iterator[str]:
    for disk in reading.devices("sys/block"):
        if reading.text(disk / "removable") == "1":
            continue
        # NVMe and MMC; virtio; SCSI and SATA; what is left of the latter.
        value = _serial(reading.text(disk / "device/serial")) or _serial(
            reading.text(disk / "serial")
        )
        if not value:
            # SPC-4, 7.8.16: four bytes of header.
            page = reading.bytes(disk / "device/vpd_pg80")[4:]
            value = _serial(page.strip(b"\0 ").decode("ascii", "replace"))
        yield value or _serial(reading.text(disk / "device/wwid"))


def _mac_addresses(reading: _Reading) -> Iterator[str]:
    for interface in reading.devices("sys/class/net"):
        if reading.text(interface / "type") != "1":
            continue
        # An interface of a bond shows the bond's address.
        if own := reading.text(interface / "bonding_slave/perm_hwaddr"):
            yield own.lower()
        elif reading.text(interface / "addr_assign_type") == "0":
            address = reading.text(interface / "address").lower()
            yield address if len(set(address)) > 2 else ""


def _machine_id(reading: _Reading) -> Iterator[str]:
    for name in ("etc/machine-id", "var/lib/dbus/machine-id"):
        value = reading.text(name)
        if re.fullmatch("[0-9a-f]{32}", value) and len(set(value)) > 2:
            yield value
            return


#: What says the model; ARM names none, but numbers of the design.
_CPU_FIELDS = (
    "vendor_id",
    "model name",
    "cpu family",
    "model",
    "stepping",
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
)


def _cpu_model(reading: _Reading) -> Iterator[str]:
    first = reading.text("proc/cpuinfo").partition("\n\n")[0]
    fields = {
        key.strip(): value.strip()
        for key, colon, value in (line.partition(":") for line in first.splitlines())
        if colon
    }
    yield " / ".join(fields[key] for key in _CPU_FIELDS if fields.get(key))


def _cpu_count(reading: _Reading) -> Iterator[str]:
    """Those that are built in, whatever this process or container may use."""
    count = 0
    for piece in reading.text("sys/devices/system/cpu/present").split(","):
        first, _, last = piece.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            count += int(last or first) - int(first) + 1
    yield str(count) if count > 0 else ""


def _ram_class(reading: _Reading) -> Iterator[str]:
    """The size of RAM that is sold, rounded up to 2^n or 1.5 * 2^n GiB.

    The system keeps some of it, and more of it after an update; less than a quarter.
    """
    found = re.search(r"^MemTotal:\s*(\d{1,15}) kB", reading.text("proc/meminfo"), re.M)
    if not found:
        return
    sizes = (size for n in range(40) for size in (2 << n, 3 << n))
    # In halves of a GiB, so that all are whole numbers.
    halves = next((size for size in sizes if int(found[1]) <= size << 19), 0)
    yield f"{halves / 2:g} GiB" if halves else ""


_READERS: dict[str, Callable[[_Reading], Iterator[str]]] = {
    "product-uuid": _product_uuid,
    "board-serial": _board_serial,
    "disk-serial": _disk_serials,
    "mac-address": _mac_addresses,
    "machine-id": _machine_id,
    "cpu-model": _cpu_model,
    "cpu-count": _cpu_count,
    "ram-class": _ram_class,
}


def _surroundings(root: Path) -> str:
    marks = (".dockerenv", "run/.containerenv", "run/systemd/container")
    if any((root / mark).exists() for mark in marks):
        return "container"
    flags = re.search(r"^flags\s*:(.*)$", _Reading(root).text("proc/cpuinfo"), re.M)
    if (root / "sys/hypervisor/type").exists() or (
        flags and "hypervisor" in flags[1].split()
    ):
        return "virtual machine"
    return "machine"
