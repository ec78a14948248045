"""Which plug-in the configuration's SDKFilterPlus names (manual 3.6)."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

#: What the product's own channel for business servers is called.
CHANNEL_NAMES = ("libipcfilterplus.so", "ipc")


class FilterKind(Enum):
    """Kinds of plug-in."""

    NONE = "none"
    CHANNEL = "channel"
    """The channel for business servers."""
    PYTHON = "python"
    COMPILED = "compiled"


@dataclass(frozen=True, slots=True)
class FilterChoice:
    """The plug-in that is to be loaded."""

    kind: FilterKind
    name: str
    """As it was configured, for the log."""
    target: str
    """A dotted name, or an absolute path; empty for none and the channel."""


def chosen(value: str, directory: Path) -> FilterChoice:
    """What a value of SDKFilterPlus stands for.

    :param directory: where files without a directory are.
    """
    if not value:
        return FilterChoice(FilterKind.NONE, value, "")
    if value in CHANNEL_NAMES:
        return FilterChoice(FilterKind.CHANNEL, value, "")
    for suffix, kind in (
        (".so", FilterKind.COMPILED),
        (".py", FilterKind.PYTHON),
    ):
        if value.endswith(suffix):
            return FilterChoice(kind, value, str(directory / value))
    return FilterChoice(FilterKind.PYTHON, value, value)
