"""Names of files that others chose, made safe to use in a directory of ours."""

import re

#: Longest name in bytes of UTF-8; directories take 255, and ours may grow.
MAXIMUM = 200

_UNFIT = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069<>:"|?*]')

#: What Windows has devices for, with any extension.
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def safe_name(name: str) -> str:
    """The last part of a path, as a name that means a file in a directory only.

    No result is empty, hidden, looks like an unfinished file, or leads anywhere
    else.
    """
    last = re.split(r"[/\\]", name)[-1]
    last = last.encode("utf-8", "replace").decode("utf-8")
    last = _UNFIT.sub("_", last).strip(" .")
    if len(last.encode()) > MAXIMUM:
        last = _shortened(last).strip(" .")
    if _DEVICES.match(last):
        last = "_" + last
    if last.lower().endswith(".part"):
        last = last[:-5] + "_part"
    return last or "file"


def numbered(name: str, number: int) -> str:
    """The same name with a number, where it is taken."""
    stem, dot, extension = name.rpartition(".")
    if not stem:
        return f"{name}-{number}"
    return f"{stem}-{number}{dot}{extension}"


def _shortened(name: str) -> str:
    """As much of a name as is allowed, with its extension if that is short."""
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension).encode()
    if not stem or len(ending) > 20:
        stem, ending = name, b""
    whole = stem.encode()[: MAXIMUM - len(ending)] + ending
    return whole.decode("utf-8", "ignore")
