"""Looking at a machine: what counts as its parts, and what does not."""

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.licensing import fingerprint
from anychat.licensing.hardware import check_hardware, read_machine
from test.licensing.machines import BOARD, DISKS, MACHINE_ID, MACS, UUID, FakeMachine

SALT = bytes(range(16))


class MachineCase(SynchronousTestCase):
    """A machine of its own for each test."""

    def setUp(self):
        self.machine = FakeMachine(Path(self.mktemp()))

    def read(self):
        """What the program sees of it."""
        return read_machine(self.machine.root)

    def part(self, name):
        """The values of one component."""
        return self.read().parts.get(name, ())


class ReadingTests(MachineCase):
    """`read_machine`."""

    def test_wholeMachine(self):
        """All components of a server are found, and nothing is missing."""
        seen = self.read()
        self.assertEqual(
            seen.parts,
            {
                "product-uuid": (UUID,),
                "board-serial": (BOARD,),
                "disk-serial": DISKS,
                "mac-address": MACS,
                "machine-id": (MACHINE_ID,),
                "cpu-model": (
                    "GenuineIntel / Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz"
                    " / 6 / 106 / 6",
                ),
                "cpu-count": ("12",),
                "ram-class": ("16 GiB",),
            },
        )
        self.assertEqual(seen.absent, {})
        self.assertEqual(seen.surroundings, "machine")

    def test_reprIsSilent(self):
        """No serial number gets into a log by way of the object's text."""
        text = repr(self.read())
        for secret in (UUID, BOARD, MACHINE_ID, *DISKS, *MACS):
            self.assertNotIn(secret, text)

    def test_privileged(self):
        """What not everybody may read is named, and can be left out."""
        seen = self.read()
        self.assertEqual(seen.privileged, {"product-uuid", "board-serial"})
        open_parts = seen.for_everybody()
        self.assertEqual(
            set(fingerprint.COMPONENTS) - set(open_parts.parts), seen.privileged
        )
        self.assertEqual(set(open_parts.absent), seen.privileged)
        self.assertEqual(open_parts.hidden, seen.privileged)

    def test_nothing(self):
        """A directory without anything yields reasons, and no error."""
        seen = read_machine(Path(self.mktemp()))
        self.assertEqual(seen.parts, {})
        self.assertEqual(set(seen.absent), set(fingerprint.COMPONENTS))
        self.assertIn("there is no /etc/machine-id", seen.absent["machine-id"])

    def test_withoutLeave(self):
        """What this user may not read is named, for somebody to give leave."""
        path = self.machine.path("sys/class/dmi/id/product_uuid")
        path.chmod(0)
        if os.access(path, os.R_OK):
            raise SkipTest("root may read everything")
        seen = self.read()
        self.assertEqual(
            seen.absent["product-uuid"],
            "this user may not read /sys/class/dmi/id/product_uuid",
        )
        self.assertEqual(seen.hidden, {"product-uuid"})

    def test_directoriesForFiles(self):
        """A directory where a file should be is a reason, too."""
        self.machine.remove("etc/machine-id")
        self.machine.path("etc/machine-id").mkdir()
        self.assertIn("cannot be read", self.read().absent["machine-id"])

    def test_garbage(self):
        """Files that hold no text, or too much of it, break nothing."""
        for name in ("proc/cpuinfo", "proc/meminfo", "sys/devices/system/cpu/present"):
            self.machine.write(name, b"\xff\x00:\xfe-" * 50_000)
        absent = self.read().absent
        self.assertIn("cpu-count", absent)
        self.assertIn("ram-class", absent)

    def test_makersPlaceholders(self):
        """What makers leave in when they write no number is no number."""
        for text in (
            "To be filled by O.E.M.",
            "Default string",
            "None",
            "0",
            "00000000",
            "0123456789",
            "123456789",
            "1234567890",
            "................",
            "",
        ):
            self.machine.write("sys/class/dmi/id/board_serial", text)
            self.machine.write("sys/class/dmi/id/product_serial", text)
            self.assertEqual(self.part("board-serial"), (), text)

    def test_makersUuids(self):
        """UUIDs of all zeros, of all ones, and those of a whole series."""
        for text in (
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009",
            "Not Settable",
        ):
            self.machine.write("sys/class/dmi/id/product_uuid", text)
            self.assertEqual(self.part("product-uuid"), (), text)

    def test_uuidOfHypervisor(self):
        """Xen tells the UUID where everybody may read it."""
        self.machine.remove("sys/class/dmi/id/product_uuid")
        self.machine.write("sys/hypervisor/uuid", UUID.upper())
        seen = self.read()
        self.assertEqual(seen.parts["product-uuid"], (UUID,))
        self.assertNotIn("product-uuid", seen.privileged)

    def test_serialOfSystem(self):
        """The system's serial number where the board has none."""
        self.machine.write("sys/class/dmi/id/board_serial", "Default string")
        self.assertEqual(self.part("board-serial"), ("F65R2M2",))

    def test_boardWithoutDmi(self):
        """A board with a device tree has its number there, with a zero byte."""
        self.machine.remove("sys/class/dmi/id")
        self.machine.write(
            "sys/firmware/devicetree/base/serial-number", b"10000000a1b2c3d4\0"
        )
        self.assertEqual(self.part("board-serial"), ("10000000a1b2c3d4",))

    def test_disksOfAllKinds(self):
        """SATA by its vital product data, virtio by its own file, else by WWID."""
        self.machine.remove_devices("block")
        self.machine.add_disk("vda", "vol-0a1b2c3d", file="serial")
        self.machine.add_disk("sda")
        self.machine.write(
            "sys/block/sda/device/vpd_pg80", b"\0\x80\0\x14   WD-WCC4N1234567  "
        )
        self.machine.add_disk("sdb", "naa.5000c500a1b2c3d4", file="device/wwid")
        self.assertEqual(
            self.part("disk-serial"),
            ("WD-WCC4N1234567", "naa.5000c500a1b2c3d4", "vol-0a1b2c3d"),
        )

    def test_disksOfTwoPorts(self):
        """NVMe disks that Linux keeps below a virtual device are disks."""
        self.machine.remove_devices("block")
        self.machine.add_disk(
            "nvme0n1", "S4EVNX0R612345", where="virtual/nvme-subsystem/nvme-subsys0"
        )
        self.assertEqual(self.part("disk-serial"), ("S4EVNX0R612345",))

    def test_disksThatDoNotCount(self):
        """Loop devices, sticks, card readers, and the numbers of emulators."""
        self.machine.add_disk("loop0", "LOOP12345", where="virtual/block")
        self.machine.add_disk("sdx", "STICK12345", where="pci0000:00/usb1/1-1")
        self.machine.add_disk("sdy", "CARD12345", removable=True)
        self.machine.add_disk("sda", "QM00001")
        self.machine.add_disk("sdb", "00000000000000000001")
        self.assertEqual(self.part("disk-serial"), DISKS)

    def test_samePathsTwice(self):
        """A disk that is reached by two paths is one disk."""
        self.machine.add_disk("nvme2n1", DISKS[0])
        self.assertEqual(self.part("disk-serial"), DISKS)

    def test_interfacesThatDoNotCount(self):
        """Bridges, adapters at USB, addresses that somebody chose, other kinds."""
        self.machine.add_interface("br0", "02:42:ac:11:00:02", where="virtual/net")
        self.machine.add_interface(
            "enx1", "00:e0:4c:68:00:01", where="pci0000:00/usb2/2-1/net"
        )
        self.machine.add_interface("eno3", "b0:4f:13:0a:1b:2e", assigned=3)
        self.machine.add_interface("eno4", "b0:4f:13:0a:1b:2f", assigned=1)
        self.machine.add_interface("eno5", "00:00:00:00:00:00")
        self.machine.add_interface("can0", "b0:4f:13:0a:1b:30", kind=280)
        self.assertEqual(self.part("mac-address"), MACS)

    def test_interfacesOfBond(self):
        """Under a bond an interface is known by its own address."""
        for name, address in zip(("eno1", "eno2"), MACS, strict=True):
            self.machine.write(f"sys/class/net/{name}/address", MACS[0])
            self.machine.write(f"sys/class/net/{name}/addr_assign_type", "3")
            self.machine.write(
                f"sys/class/net/{name}/bonding_slave/perm_hwaddr", address
            )
        self.assertEqual(self.part("mac-address"), MACS)

    def test_machineIdElsewhere(self):
        """An empty /etc/machine-id, as in images, and the one of D-Bus."""
        self.machine.write("etc/machine-id", "uninitialized")
        self.assertEqual(self.part("machine-id"), ())
        self.machine.write("var/lib/dbus/machine-id", MACHINE_ID)
        self.assertEqual(self.part("machine-id"), (MACHINE_ID,))

    def test_armCpu(self):
        """A CPU that has no model name has numbers."""
        self.machine.write(
            "proc/cpuinfo",
            "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"
            "CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n",
        )
        self.assertEqual(self.part("cpu-model"), ("0x41 / 8 / 0x3 / 0xd0c",))

    def test_cpuCounts(self):
        """Lists of ranges are counted."""
        for text, count in (("0", "1"), ("0-3,8-11", "8"), ("0,2-3", "3")):
            self.machine.write("sys/devices/system/cpu/present", text)
            self.assertEqual(self.part("cpu-count"), (count,))

    def test_ramClasses(self):
        """The kernel's own share, which changes, does not change the class."""
        for kib, size in (
            (16_213_996, "16 GiB"),
            (15_500_000, "16 GiB"),
            (24_684_092, "24 GiB"),
            (32_700_000, "32 GiB"),
            (1_014_892, "1 GiB"),
            (1_056_000_000, "1024 GiB"),
            (512_000, "1 GiB"),
        ):
            self.machine.set_ram(kib)
            self.assertEqual(self.part("ram-class"), (size,))

    def test_surroundings(self):
        """Containers and virtual machines are told from machines."""
        self.machine.set_cpu(flags="hypervisor")
        self.assertEqual(self.read().surroundings, "virtual machine")
        self.machine.write("run/.containerenv", "")
        self.assertEqual(self.read().surroundings, "container")

    def test_container(self):
        """In a container with a network of its own the reasons are plain."""
        self.machine.write(".dockerenv", "")
        self.machine.remove_devices("class/net")
        self.machine.add_interface("eth0", "02:42:ac:11:00:02", where="virtual/net")
        self.machine.remove("etc/machine-id")
        absent = self.read().absent
        self.assertEqual(absent["mac-address"], "/sys/class/net shows no hardware")
        self.assertIn("there is no /etc/machine-id", absent["machine-id"])

    def test_thisMachine(self):
        """Whatever machine this runs on, it matches itself."""
        seen = read_machine()
        hashes = fingerprint.hash_parts(seen.parts, SALT)
        self.assertTrue(hashes)
        self.assertTrue(check_hardware(fingerprint.bind(hashes, SALT.hex()), seen).ok)


class CheckTests(MachineCase):
    """`check_hardware`, with the default weights."""

    def setUp(self):
        super().setUp()
        hashes = fingerprint.hash_parts(self.read().parts, SALT)
        self.binding = fingerprint.bind(hashes, SALT.hex())

    def check(self):
        """What is found now."""
        return check_hardware(self.binding, self.read())

    def test_same(self):
        """Nothing has changed."""
        found = self.check()
        self.assertTrue(found.ok)
        self.assertEqual(found.text, "100 of 100 match, 60 are needed")

    def test_newDisk(self):
        """One of two disks is replaced: it goes on, and the text says so."""
        self.machine.write("sys/block/nvme0n1/device/serial", "S4EVNX0R700000")
        found = self.check()
        self.assertTrue(found.ok)
        self.assertIn("90 of 100", found.text)
        self.assertIn("disk id differs, 1 of 2 are there (816)", found.text)

    def test_moreOfAll(self):
        """What is added to a machine takes nothing away."""
        self.machine.add_disk("nvme9n1", "S4EVNX0R799999")
        self.machine.add_interface("eno9", "b0:4f:13:0a:1b:99")
        self.assertEqual(self.check().text, "100 of 100 match, 60 are needed")

    def test_otherMachine(self):
        """Another machine of the same make, with this one's machine-id."""
        self.machine.write("sys/class/dmi/id/product_uuid", UUID.replace("4", "5"))
        self.machine.write("sys/class/dmi/id/board_serial", ".F65R2M3.CNFCP001.")
        self.machine.remove_devices("block")
        self.machine.add_disk("nvme0n1", "S4EVNX0R999999")
        self.machine.remove_devices("class/net")
        self.machine.add_interface("eno1", "b0:4f:13:0a:ff:ff")
        found = self.check()
        self.assertFalse(found.ok)
        self.assertEqual(found.code, 810)
        self.assertIn("25 of 100 match, 60 are needed", found.text)
        for code in ("(810)", "(814)", "(816)"):
            self.assertIn(code, found.text)
        self.assertIn("anychat-license fingerprint", found.text)
        self.assertFalse(found.passing)

    def test_textIsSilent(self):
        """No text of a finding tells a serial number."""
        self.machine.remove("sys/class/dmi/id")
        self.machine.write("sys/block/nvme0n1/device/serial", "S4EVNX0R700000")
        text = self.check().text
        for secret in (UUID, BOARD, MACHINE_ID, *DISKS, *MACS, "S4EVNX0R700000"):
            self.assertNotIn(secret, text)
