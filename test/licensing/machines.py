"""Machines to look at: the files that `hardware` reads, in a directory."""

import shutil
from pathlib import Path

#: What a rack server of two disks and two interfaces shows.
UUID = "4c4c4544-0036-3510-8052-b4c04f4d3332"
BOARD = ".F65R2M2.CNFCP0018G00FB."
DISKS = ("S4EVNX0R612345", "S4EVNX0R612399")
MACS = ("b0:4f:13:0a:1b:2c", "b0:4f:13:0a:1b:2d")
MACHINE_ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz
stepping\t: 6
cpu MHz\t\t: 2100.000
flags\t\t: fpu vme {flags}

processor\t: 1
model name\t: Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz
"""


class FakeMachine:
    """A server as Linux shows it; the methods change parts of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("sys/class/dmi/id/product_uuid", UUID, 0o400)
        self.write("sys/class/dmi/id/board_serial", BOARD, 0o400)
        self.write("sys/class/dmi/id/product_serial", "F65R2M2", 0o400)
        for number, serial in enumerate(DISKS):
            self.add_disk(f"nvme{number}n1", serial)
        for number, address in enumerate(MACS):
            self.add_interface(f"eno{number + 1}", address)
        self.write("etc/machine-id", MACHINE_ID)
        self.set_cpu()
        self.set_ram(16_213_996)
        self.write("sys/devices/system/cpu/present", "0-11")

    def path(self, name: str) -> Path:
        """A file of the machine."""
        return self.root / name

    def write(self, name: str, text: str | bytes, mode: int = 0o444) -> None:
        """One of its files, with a line end as the kernel has it."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode() + b"\n")
        path.chmod(mode)

    def remove(self, name: str) -> None:
        """A file, a link or a directory is not there."""
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def device(self, kind: str, name: str, where: str) -> str:
        """A device, and the link to it from its class; its directory."""
        directory = f"sys/devices/{where}/{name}"
        self.path(directory).mkdir(parents=True)
        link = self.path(f"sys/{kind}/{name}")
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * len(link.relative_to(self.path("sys")).parts[:-1])
        link.symlink_to(f"{up}devices/{where}/{name}")
        return directory

    def add_disk(
        self,
        name: str,
        serial: str = "",
        *,
        where: str = "pci0000:00/0000:00:1d.0",
        file: str = "device/serial",
        removable: bool = False,
    ) -> None:
        """One more disk."""
        directory = self.device("block", name, where)
        self.write(f"{directory}/removable", str(int(removable)))
        if serial:
            self.write(f"{directory}/{file}", serial)

    def add_interface(
        self,
        name: str,
        address: str,
        *,
        where: str = "pci0000:00/0000:00:1f.6/net",
        assigned: int = 0,
        kind: int = 1,
    ) -> None:
        """One more network interface."""
        directory = self.device("class/net", name, where)
        self.write(f"{directory}/address", address)
        self.write(f"{directory}/addr_assign_type", str(assigned))
        self.write(f"{directory}/type", str(kind))

    def remove_devices(self, kind: str) -> None:
        """No device of a class is there, such as ``block``."""
        for link in list(self.path(f"sys/{kind}").iterdir()):
            shutil.rmtree(link.resolve())
            link.unlink()

    def set_cpu(self, *, flags: str = "pse", old: str = "", new: str = "") -> None:
        """The CPU, with a piece of its description replaced."""
        self.write("proc/cpuinfo", CPUINFO.format(flags=flags).replace(old, new))

    def set_ram(self, kib: int) -> None:
        """What the kernel counts of it."""
        self.write("proc/meminfo", f"MemTotal:  {kib:>14} kB\nMemFree: 123 kB")
