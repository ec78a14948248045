"""Why a file is no plug-in for this machine, from its first bytes.

The dynamic linker says of a library that was built for another processor that
there is no such file.  Layout: the ELF specification, "ELF Header".
"""

#: Bytes of a header that are looked at.
HEADER_SIZE = 20

_MAGIC = b"\x7fELF"

#: Numbers of processors (``e_machine``).
_MACHINES = {
    3: "x86",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "S390",
    40: "ARM",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    258: "LoongArch",
}


def fault(header: bytes, own: bytes) -> str | None:
    """What is wrong with a library; None: it may be loaded.

    :param header: the first `HEADER_SIZE` bytes of the library, or less.
    :param own: those of a program that runs here.
    """
    if header[:4] != _MAGIC or len(header) < HEADER_SIZE:
        return "it is no shared library (no ELF file)"
    # Class (32 or 64 bits), byte order, and processor.
    if (header[4:6], header[18:20]) != (own[4:6], own[18:20]):
        return f"it is built for {_name(header)}, this server is {_name(own)}"
    if _short(header, 16) != 3:
        return "it is no shared library; build it with -shared"
    return None


def _short(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 2], "big" if header[5] == 2 else "little")


def _name(header: bytes) -> str:
    machine = _short(header, 18)
    bits = 64 if header[4] == 2 else 32
    return f"{_MACHINES.get(machine, f'processor {machine}')} ({bits} bits)"
