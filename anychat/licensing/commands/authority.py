"""``anychat-license ca`` and ``revoke``: the vendor's CA and what it takes back."""

from argparse import ArgumentParser, Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from anychat.licensing.authority import (
    ALGORITHMS,
    AuthorityError,
    make_authority,
    write_certificates,
)
from anychat.licensing.certificate import read_certificates
from anychat.licensing.commands.ca_directory import CaDirectory
from anychat.licensing.commands.console import FINE, Console, UsageError, whole
from anychat.licensing.commands.output import (
    check_list_output,
    is_standard_output,
    output_path,
)
from anychat.licensing.files import replace_file
from anychat.licensing.findings import LicenceError
from anychat.licensing.revocation import CRL_NAME, LONGEST_CRL, read_crls

#: Reasons of RFC 5280 section 5.3.1 that fit a licence.
_REASONS = {
    "superseded": x509.ReasonFlags.superseded,
    "withdrawn": x509.ReasonFlags.privilege_withdrawn,
    "ended": x509.ReasonFlags.cessation_of_operation,
    "compromised": x509.ReasonFlags.key_compromise,
}


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    ca = commands.add_parser(
        "ca",
        help="make a licence CA, which signs licences",
        description="Make a licence CA. Its key is encrypted and readable by you "
        "alone; who has it and its pass phrase can make licences.",
    )
    add_ca(ca, "the new CA's directory")
    ca.add_argument("--name", required=True, help="the vendor's, for all to see")
    ca.add_argument(
        "--algorithm", choices=ALGORITHMS, default="ed25519", help="default: ed25519"
    )
    ca.add_argument(
        "--years",
        type=whole(1, 50),
        default=20,
        help="how long it is valid, and its licences at most (default: 20)",
    )
    ca.add_argument(
        "--parent",
        metavar="DIR",
        type=Path,
        help="the CA that vouches for this one, so that its own key can stay in a "
        "safe; default: none, customers trust this one itself",
    )
    ca.add_argument(
        "--parent-passphrase-file",
        metavar="FILE",
        type=Path,
        help="the pass phrase of the parent's key; default: asked for",
    )
    ca.set_defaults(run=_make)

    revoke = commands.add_parser(
        "revoke",
        help="revoke licences: write the CA's revocation list",
        description="Revoke licences. Servers that get the list, as "
        f"{CRL_NAME} beside the configuration, refuse them.",
    )
    add_ca(revoke)
    revoke.add_argument(
        "licences",
        metavar="LICENCE",
        nargs="+",
        help="a file, or the serial number of one that was issued here",
    )
    revoke.add_argument(
        "--reason",
        choices=_REASONS,
        default="withdrawn",
        help="for who reads the list (default: withdrawn)",
    )
    revoke.add_argument(
        "--out",
        metavar="FILE",
        type=output_path,
        help="a copy of the list, for customers (- is the standard output); the list "
        "itself is ca.crl of the CA",
    )
    revoke.add_argument(
        "--new-list",
        action="store_true",
        help="where ca.crl is lost and nobody has a copy: begin a new one, without "
        "what was revoked before",
    )
    revoke.set_defaults(run=_revoke)


def add_ca(parser: ArgumentParser, what: str = "the CA's directory") -> None:
    """Add what every command has that uses a CA's key."""
    parser.add_argument(
        "--ca",
        metavar="DIR",
        type=Path,
        default=Path("licence-ca"),
        help=f"{what} (default: licence-ca)",
    )
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=Path,
        help="its first line is the pass phrase of the CA's key; default: asked for",
    )


def _make(arguments: Namespace, console: Console) -> int:
    directory = CaDirectory(arguments.ca)
    # Before anybody thinks of a pass phrase.
    directory.check_free()
    parent = None
    if arguments.parent is not None:
        console.warn(f"of {arguments.parent}:")
        parent = CaDirectory(arguments.parent).read(
            console.passphrase(arguments.parent_passphrase_file)
        )
    authority = make_authority(
        arguments.name,
        arguments.algorithm,
        console.now,
        timedelta(days=365.25 * arguments.years),
        parent,
    )
    passphrase = console.passphrase(arguments.passphrase_file, new=True)
    if parent is not None:
        # It can be revoked, though its own directory be lost.
        CaDirectory(arguments.parent).keep(write_certificates(authority.certificate))
    directory.make(authority, passphrase, authority.revoke({}, console.now))
    use = "for customers (LicenseCA=)"
    if parent is not None:
        use = "goes with every licence of this CA"
    console.report(
        f"{directory.certificate}: {use}",
        f"{directory.key}: secret; keep a copy, and the pass phrase elsewhere",
    )
    return FINE


def _revoke(arguments: Namespace, console: Console) -> int:
    directory = CaDirectory(arguments.ca)
    if arguments.out is not None:
        check_list_output(arguments.out)
    given = {name: directory.find(name) for name in arguments.licences}
    authority = directory.read(console.passphrase(arguments.passphrase_file))
    serials = {}
    for name, data in given.items():
        certificate = read_certificates(data, what=name)[0]
        if certificate == authority.certificate:
            # Nobody could take that back, and all of its licences would end.
            raise AuthorityError(
                f"{name} is this CA itself: a CA is revoked by the one above, and a "
                "root by being trusted no longer"
            )
        if not authority.has_signed(certificate):
            raise AuthorityError(f"{name} is not of this CA")
        serials[certificate.serial_number] = _REASONS[arguments.reason]
    with directory.locked():
        former = None if arguments.new_list else _former(directory)
        if arguments.new_list and directory.crl.exists():
            raise UsageError(f"{directory.crl} is there: a new list would forget it")
        crl = authority.revoke(serials, console.now, former)
        if len(crl) > LONGEST_CRL:
            raise AuthorityError(
                f"{directory.crl} would be larger than servers read: make a new CA"
            )
        replace_file(directory.crl, crl)
    if arguments.out is not None and is_standard_output(arguments.out):
        console.output.write(crl.decode())
        return FINE
    if arguments.out is not None:
        replace_file(arguments.out, crl)
    console.report(
        *(f"revoked: {serial:x}" for serial in serials),
        f"{arguments.out or directory.crl}: for servers, as {CRL_NAME}",
    )
    return FINE


def _former(directory: CaDirectory) -> x509.CertificateRevocationList:
    """The list of what was revoked up to now."""
    try:
        return read_crls(directory.read_crl(), str(directory.crl))[0]
    except (AuthorityError, LicenceError) as error:
        cause = error.text if isinstance(error, LicenceError) else str(error)
        raise AuthorityError(
            f"{cause}; nothing was revoked. Put your last copy of the list there, or "
            f"the {CRL_NAME} of a customer; if there is none, remove what is there "
            "and say --new-list"
        ) from error
