"""``anychat-license fingerprint``: the request for a licence of this machine."""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anychat
from anychat.licensing.commands.console import FAILED, FINE, Console
from anychat.licensing.commands.output import (
    add_output,
    check_output,
    is_standard_output,
)
from anychat.licensing.files import replace_file
from anychat.licensing.fingerprint import (
    COMPONENTS,
    SALT_BYTES,
    bind,
    hash_parts,
    shortcoming,
)
from anychat.licensing.hardware import Machine, read_machine
from anychat.licensing.licence import Hashes
from anychat.licensing.request import MAX_TEXT, Request, write_request

_FILE = "AnyChat.request"

_DESCRIPTION = """\
Write the file that whoever sells the licence needs to bind it to this machine. It
holds salted hashes, and no serial numbers.

Run it as the user that the server runs as (sudo -u anychat anychat-license
fingerprint), for the licence is to hold what that user can read. As root it
leaves out what other users may not read, unless you say --as-root.
"""

#: What gives a container the parts that it lacks.
_CONTAINER_ADVICE = {
    "mac-address": "the host's network (docker run --network host)",
    "machine-id": "a machine-id of the host "
    "(docker run -v /etc/machine-id:/etc/machine-id:ro)",
    "product-uuid": "a readable /sys/class/dmi/id",
    "disk-serial": "a readable /sys/block",
}


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fingerprint",
        help="write the request for a licence of this machine",
        description=_DESCRIPTION,
    )
    add_output(parser, _FILE, "the request")
    parser.add_argument(
        "--as-root",
        action="store_true",
        help="the server runs as root and may read what only root may",
    )
    parser.set_defaults(run=write_fingerprint)


def write_fingerprint(
    arguments: Namespace, console: Console, root: Path = Path("/")
) -> int:
    """Run the command.

    :param root: another directory than / for tests.
    """
    check_output(arguments.out, force=arguments.force)
    machine = read_machine(root)
    if os.geteuid() == 0 and not arguments.as_root:
        machine = machine.for_everybody()
    salt = os.urandom(SALT_BYTES)
    hashes = hash_parts(machine.parts, salt)
    for line in _survey(machine):
        console.warn(line)
    if not hashes:
        console.warn(
            "nothing of this machine can be read; a licence can be bound to a "
            "domain, an address or a UKey instead"
        )
        return FAILED
    for line in _cautions(machine, hashes, salt):
        console.warn(line)
    text = write_request(
        Request(
            anychat.__version__,
            f"{console.now:%Y-%m-%dT%H:%M:%SZ}",
            machine.surroundings,
            salt.hex(),
            hashes,
            {name: reason[:MAX_TEXT] for name, reason in machine.absent.items()},
        )
    )
    if is_standard_output(arguments.out):
        console.output.write(text)
    else:
        replace_file(arguments.out, text.encode())
        console.report(f"{arguments.out}: send this to whoever sells you the licence")
    return FINE


def _survey(machine: Machine) -> Iterator[str]:
    """What was found and what was not; no values."""
    yield f"this is a {machine.surroundings}"
    for name, component in COMPONENTS.items():
        if count := len(machine.parts.get(name, ())):
            yield f"{component.title}: {count} found"
        else:
            yield f"{component.title}: none; {machine.absent[name]}"


def _cautions(machine: Machine, hashes: Hashes, salt: bytes) -> Iterator[str]:
    """What to mend before the request is sent."""
    if machine.hidden:
        hidden = ", ".join(COMPONENTS[name].title for name in sorted(machine.hidden))
        yield (
            f"{hidden}: can be made readable for the server's user, which "
            "makes the licence last through more repairs; see docs/licensing.md"
        )
    if text := shortcoming(bind(hashes, salt.hex())):
        yield f"a licence for this alone would not be safe: {text}"
        if machine.surroundings == "container":
            for name, advice in _CONTAINER_ADVICE.items():
                if name in machine.absent:
                    yield f"what this container lacks: {advice}"
