"""``anychat-license inspect``: what a licence says."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anychat
from anychat.licensing.certificate import (
    LICENCE_NAME,
    LONGEST,
    TRUSTED,
    inspect_licence,
    read_file,
    read_licence,
)
from anychat.licensing.commands.console import FAILED, FINE, Console, UsageError
from anychat.licensing.description import describe
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import Licence
from anychat.licensing.revocation import LONGEST_CRL


def add(commands: Any) -> None:
    """Add the command to the parser."""
    inspect = commands.add_parser(
        "inspect",
        help="show what a licence says, and whether its vendor has signed it",
        description="Show what a licence says. Whether it holds on this machine is "
        "for `check` to say.",
    )
    inspect.add_argument("licence", metavar="FILE", type=Path, help=LICENCE_NAME)
    inspect.add_argument(
        "--ca",
        metavar="FILE",
        type=Path,
        help="the vendor's CA (ca.pem); default: those that came with the package",
    )
    inspect.add_argument(
        "--crl", metavar="FILE", type=Path, help="a revocation list to check"
    )
    inspect.set_defaults(run=_inspect)


def _inspect(arguments: Namespace, console: Console) -> int:
    data = _file(arguments.licence, LONGEST)
    crl = None if arguments.crl is None else _file(arguments.crl, LONGEST_CRL)
    if arguments.ca is not None:
        trusted = [_file(arguments.ca, LONGEST)]
    else:
        trusted = [path.read_bytes() for path in sorted(TRUSTED.glob("*.pem"))]
    if not trusted and crl is not None:
        raise UsageError("--crl needs --ca")
    licence = inspect_licence(data, str(arguments.licence))
    for line in describe(licence):
        console.say(line)
    faults = list(_faults(licence, data, trusted, crl, console))
    for fault in faults:
        console.say(fault)
    if not trusted:
        console.say("Signature: not checked; name the vendor's CA with --ca")
    elif not faults:
        console.say("Signature: of a CA that is trusted")
    return FAILED if faults else FINE


def _faults(
    licence: Licence,
    data: bytes,
    trusted: list[bytes],
    crl: bytes | None,
    console: Console,
) -> Iterator[str]:
    if trusted:
        try:
            read_licence(data, trusted, crl, anychat.__version__)
        except LicenceError as error:
            yield f"Not valid: {error.text} ({error.code:d})"
    if console.now >= licence.not_after:
        yield "Not valid: it has expired (801)"
    elif console.now < licence.not_before:
        yield "Not valid: it begins later (801)"


def _file(path: Path, longest: int) -> bytes:
    data = read_file(path, longest)
    if data is None:
        raise UsageError(f"{path} is not there")
    return data
