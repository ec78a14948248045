"""What a command has of the terminal and of the world."""

import os
import stat
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from twisted.internet.defer import Deferred

from anychat.errors import AnyChatError

#: Exit codes; argparse has 2 for wrong usage.
FINE, FAILED, WRONG_USAGE = 0, 1, 2

#: Bytes of a file with a pass phrase.
_LONGEST_PASSPHRASE = 1024


class UsageError(AnyChatError):
    """Arguments that do not go together; exit code 2."""


@dataclass(frozen=True, slots=True)
class Console:
    """Given to every command's ``run(arguments, console)``, which returns its exit
    code or raises `AnyChatError`."""

    output: TextIO
    errors: TextIO
    ask: Callable[[str], str]
    """Asks for a pass phrase, not echoed."""
    now: datetime
    """UTC."""
    wait: Callable[[Callable[[Any], "Deferred[Any]"]], Any]
    """Calls a function with a reactor, and runs that until its result is there."""

    def say(self, text: str) -> None:
        """Write a line of the result."""
        print(_harmless(text), file=self.output)

    def report(self, *lines: str) -> None:
        """Say what was done; it is done though nobody can read it."""
        try:
            for line in lines:
                self.say(line)
            self.output.flush()
        except OSError as error:
            self.warn(f"this was done, but standard output: {error.strerror}")
            self.silence()

    def silence(self) -> None:
        """Write nothing more to an output that failed.

        The interpreter would try again at its end, and complain in its own way.
        """
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.output.fileno())

    def warn(self, text: str) -> None:
        """Write a line that is not of the result."""
        print(f"anychat-license: {_harmless(text)}", file=self.errors)

    def passphrase(self, path: Path | None, *, new: bool = False) -> str:
        """A pass phrase, from a file's first line or asked for.

        :param new: to be asked for twice.
        """
        if path is not None:
            return self._read_passphrase(path)
        try:
            answer = self.ask("Pass phrase of the CA's key: ")
            if new and self.ask("The same again: ") != answer:
                raise UsageError("the two are not the same; nothing was made")
        except EOFError:
            raise UsageError("no pass phrase; see --passphrase-file") from None
        except UnicodeDecodeError:
            raise _no_text() from None
        try:
            answer.encode()
        except UnicodeEncodeError:
            # Of another encoding than the terminal says.
            raise _no_text() from None
        return answer

    def _read_passphrase(self, path: Path) -> str:
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_LONGEST_PASSPHRASE + 1)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        if stat.S_ISREG(mode) and mode & 0o077:
            self.warn(f"others may read the pass phrase: chmod 600 {path}")
        try:
            line = data.split(b"\n", 1)[0]
            text = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise UsageError(f"{path} holds no text") from None
        if len(line) > _LONGEST_PASSPHRASE:
            raise UsageError(
                f"the first line of {path} is longer than {_LONGEST_PASSPHRASE} bytes"
            )
        if not text.strip():
            raise UsageError(f"{path} holds no pass phrase in its first line")
        return text


def _no_text() -> UsageError:
    return UsageError("what was typed is no text; nothing was made")


def _harmless(text: str) -> str:
    """Text in which nothing drives the terminal: names of others may be in it."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def whole(least: int, most: int) -> Callable[[str], int]:
    """For argparse: a whole number from one to another."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(
                f"{text!r} is no whole number from {least} to {most}"
            )
        return number

    return parse
