"""What can be told of a library by its first bytes."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.filters.elf import HEADER_SIZE, fault


def header(bits=64, machine=62, kind=3, order="little"):
    """The first bytes of an ELF file."""
    head = bytes([0x7F, *b"ELF", bits // 32, 1 if order == "little" else 2, 1])
    return head.ljust(16, b"\0") + kind.to_bytes(2, order) + machine.to_bytes(2, order)


class ElfTests(SynchronousTestCase):
    """`fault` on an x86-64 machine."""

    def test_faults(self):
        """What is wrong is said in words."""
        for data, words in (
            (header(), None),
            (b"", "no ELF file"),
            (b"#!/bin/sh\n", "no ELF file"),
            (header()[:-1], "no ELF file"),
            (header(kind=1), "-shared"),
            (header(kind=2), "-shared"),
            (header(machine=183), "built for AArch64 (64 bits), this server is x86-64"),
            (header(bits=32, machine=3), "built for x86 (32 bits)"),
            (header(order="big", machine=22), "built for S390 (64 bits)"),
            (header(machine=9999), "built for processor 9999"),
        ):
            said = fault(data, header())
            if words is None:
                self.assertIsNone(said)
            else:
                self.assertIn(words, said)
        self.assertEqual(len(header()), HEADER_SIZE)
