"""Where a command writes its result, and where it does not."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from anychat.licensing.certificate import read_file
from anychat.licensing.commands.ca_directory import is_of_authority
from anychat.licensing.commands.console import UsageError
from anychat.licensing.findings import LicenceError
from anychat.licensing.revocation import LONGEST_CRL, read_crls


def add_output(parser: ArgumentParser, name: str, what: str) -> None:
    """Add what every command has that writes a new file.

    :param name: of the file, unless said otherwise.
    """
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=output_path,
        default=Path(name),
        help=f"{what} (default: {name}); - is the standard output",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace that file if it is there"
    )


def output_path(text: str) -> Path:
    """For argparse: a file's name."""
    if not text:
        # Or it would be the directory where this runs.
        raise ArgumentTypeError("'' is no name of a file")
    return Path(text)


def is_standard_output(path: Path) -> bool:
    """Whether the result goes there."""
    return str(path) == "-"


def check_output(path: Path, *, force: bool) -> None:
    """Whether a result can be written there.

    :raises UsageError: there is a file already, or what is never replaced.
    """
    if is_standard_output(path):
        return
    if is_of_authority(path):
        raise UsageError(f"{path} is a licence CA's own file; choose another --out")
    if path.exists() and not path.is_file():
        # As root /dev/null would be no device any more.
        raise UsageError(f"{path} is there, and is no file; choose another --out")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; --force replaces it")


def check_list_output(path: Path) -> None:
    """Whether a revocation list can be written there.

    An older one is replaced: a list only ever grows, so nobody misses it.

    :raises UsageError: there is something else.
    """
    if is_standard_output(path):
        return
    try:
        data = read_file(path, LONGEST_CRL)
        if data is not None:
            read_crls(data, str(path))
    except LicenceError as error:
        raise UsageError(
            f"{path} is there and not replaced, for it is no revocation list: "
            f"{error.text}"
        ) from None
