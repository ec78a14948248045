"""Configuration files as text: entries in sections, and what is wrong with them.

They are read as such programs read theirs: ``[Section]``, ``Key=value``, comments
after ``#`` or ``;`` at the start of a line or after white space, UTF-8 or GBK, with
or without BOM.  A value may stand in quotes.  A secret (SDKAuthPass is one) is the
rest of its line as it is, since a password may hold anything.  The values are held
against a specification, see `anychat.config_keys`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configobj import ConfigObj, flatten_errors
from configobj.validate import Validator

from anychat.config_keys import CHECKS, is_secret
from anychat.errors import ConfigError

#: Bytes of a file that is worth reading; the one that is shipped has about 6,000.
MAX_FILE_SIZE = 1 << 20


def _decoded(path: Path, data: bytes) -> str:
    """Text of the file: UTF-8 or GBK, and no byte order mark."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # UTF-16, or no text at all.
        if "\0" not in text:
            return text
    raise ConfigError(f"{path}: not a text in UTF-8 or GBK")


def file_text(path: Path) -> str | None:
    """Text of the file, None if there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: no such directory") from None
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_SIZE:
        raise ConfigError(f"{path}: larger than {MAX_FILE_SIZE} bytes")
    return _decoded(path, data)


@dataclass(frozen=True, slots=True)
class _Entry:
    """``Key=value`` of a file."""

    line: int
    section: str
    key: str
    value: str = field(repr=False)


class Reading:
    """One pass over a file: its entries, and all that is wrong with them.

    The errors are noted, and told all at once by `finish`.
    """

    def __init__(self, path: Path, spec: Mapping[str, Mapping[str, str]]) -> None:
        self._path = path
        self._spec = spec
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._errors: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []

    def read(self, text: str) -> None:
        """Take the text of the file."""
        section: str | None = None
        sections: set[str] = set()
        for line, content in enumerate(re.split(r"\r\n|\r|\n", text), 1):
            stripped = content.strip()
            if not stripped or stripped[0] in "#;":
                continue
            header = re.fullmatch(r"\[([^\[\]]+)\]\s*([#;].*)?", stripped)
            if header:
                section = header[1].strip()
                if section in sections:
                    self._error(line, f"section [{section}] is there twice")
                elif section not in self._spec:
                    self._unknown(line, f"section [{section}]", section, self._spec)
                sections.add(section)
                continue
            key, equals, rest = map(str.strip, stripped.partition("="))
            if not (key and equals) or stripped.startswith("["):
                # Not shown: it may be a password that lost its key.
                self._error(
                    line, "neither [Section] nor Key=value nor a comment (# or ;)"
                )
            elif section is None:
                # Ignored, it could leave a server open that should ask for a password.
                self._error(line, f"{key} stands before any section")
            elif section in self._spec:
                self._entry(line, section, key, rest)
        if not self._entries:
            self._warning(0, "sets nothing, all defaults hold")

    def _entry(self, line: int, section: str, key: str, rest: str) -> None:
        rules = self._spec[section]
        if key not in rules:
            self._unknown(line, f"[{section}] {key}", key, rules)
        elif (section, key) in self._entries:
            first = self._entries[section, key].line
            self._error(
                line, f"[{section}] {key} is there twice, first in line {first}"
            )
        else:
            quoted = re.fullmatch(r"(['\"])(.*?)\1\s*([#;].*)?", rest)
            comment = re.search(r"(^|\s)[#;]", rest)
            if quoted:
                value = quoted[2]
            elif comment and is_secret(rules[key]):
                value = rest
                self._warning(
                    line,
                    f"[{section}] {key}: the whole line belongs to the value, "
                    f"what looks like a comment too",
                )
            elif comment:
                value = rest[: comment.start()]
            else:
                value = rest
            self._entries[section, key] = _Entry(line, section, key, value)

    def validated(self) -> dict[str, dict[str, Any]]:
        """Typed values of all keys, by section; wrong ones are noted."""
        given: dict[str, dict[str, str]] = {section: {} for section in self._spec}
        for (section, key), entry in self._entries.items():
            given[section][key] = entry.value
        values, result = self._validate(given)
        for (section,), key, problem in flatten_errors(values, result):
            self.refuse(section, key, problem.allowed)
            del given[section][key]
        if result is not True:
            # Defaults in their place, for the checks of values together.
            values, _ = self._validate(given)
        typed: dict[str, dict[str, Any]] = values.dict()
        return typed

    def _validate(self, given: Mapping[str, Mapping[str, str]]) -> tuple[Any, Any]:
        values = ConfigObj(given, configspec=self._spec, interpolation=False)
        return values, values.validate(Validator(CHECKS), preserve_errors=True)

    def refuse(self, section: str, key: str, allowed: str) -> None:
        """Note that a key's value cannot be used, and what could be."""
        self.fault(section, key, f"allowed is {allowed}")

    def fault(self, section: str, key: str, text: str) -> None:
        """Note what is wrong with a key's value."""
        entry = self._entries.get((section, key))
        if entry is None:
            # The default, which only another key's value makes unusable.
            self._error(0, f"[{section}] {key} (not given): {text}")
        elif is_secret(self._spec[section][key]):
            self._error(entry.line, f"[{section}] {key} (not shown): {text}")
        else:
            shown = entry.value if len(entry.value) <= 80 else entry.value[:80] + "..."
            self._error(entry.line, f"[{section}] {key}={shown!r}: {text}")

    def note(self, section: str, key: str, text: str) -> None:
        """Note something about a key that does not stop the start."""
        entry = self._entries.get((section, key))
        self._warning(entry.line if entry else 0, f"[{section}] {key}: {text}")

    def _error(self, line: int, text: str) -> None:
        self._errors.append((line, text))

    def _warning(self, line: int, text: str) -> None:
        self._warnings.append((line, text))

    def _unknown(
        self, line: int, what: str, name: str, known: Mapping[str, object]
    ) -> None:
        lower = {other.lower(): other for other in known}
        close = difflib.get_close_matches(name.lower(), lower, 1)
        hint = f" (is {lower[close[0]]} meant?)" if close else ""
        self._warning(line, f"{what} is not known, ignored{hint}")

    def finish(self) -> tuple[str, ...]:
        """The warnings.

        :raises ConfigError: there were errors; its text has one line for each.
        """
        if self._errors:
            raise ConfigError("\n".join(self._placed(self._errors, str(self._path))))
        return tuple(self._placed(self._warnings, self._path.name))

    @staticmethod
    def _placed(notes: list[tuple[int, str]], file: str) -> Iterator[str]:
        for line, text in sorted(notes, key=lambda note: note[0]):
            yield f"{file}, line {line}: {text}" if line else f"{file}: {text}"
