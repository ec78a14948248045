"""The command line of ``anychat-business``: the server, and the users it lets in.

Exit codes: 0 done, 1 could not be done, 2 wrong command line or configuration.
"""

import argparse
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from getpass import getpass
from pathlib import Path
from typing import Any

import anychat
from anychat.business.sample.users import (
    Users,
    UsersError,
    users_beside,
)
from anychat.business.settings import FILE_NAME
from anychat.business_messages import MAX_PASSWORD
from anychat.errors import ConfigError

PROGRAM = "anychat-business"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The sample business server of the AnyChat core server: without "
        "a command it runs, q and Enter end it.",
    )
    whole.add_argument("--version", action="version", version=anychat.__version__)
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help)

    adduser = command("adduser", "add a user who may sign in")
    passwd = command("passwd", "change a user's password")
    deluser = command("deluser", "remove a user; who is signed in stays so")
    deluser.add_argument("name", metavar="NAME")
    listing = command("list", "print ids and names of all users")
    for parser in (adduser, passwd):
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--password",
            metavar="P",
            help="others can see it in the list of processes; without it the "
            "terminal is asked, or a line of standard input read",
        )
    whole.add_argument("--config", **_config(default=FILE_NAME))
    for parser in (adduser, passwd, deluser, listing):
        # Given after the command it replaces what was given before.
        parser.add_argument("--config", **_config(default=argparse.SUPPRESS))
    return whole


def _config(default: str) -> dict[str, Any]:
    text = f"the configuration, beside which users are kept (default: {FILE_NAME})"
    return {"metavar": "INI", "default": default, "help": text}


def existing(name: str) -> Path:
    """The configuration, which says where the users are.

    :raises ConfigError: there is none, so that a wrong directory is noticed.
    """
    path = Path(name).absolute()
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; name the file in it with --config")
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file; copy etc/{FILE_NAME} there, or name another one "
            "with --config"
        )
    return path


def read_password(descriptor: int = 0) -> str:
    """Ask twice, without echo, at a terminal; else take a line of standard input.

    :raises UsersError: there is none, or they differ.
    """
    if not os.isatty(descriptor):
        try:
            with open(descriptor, "rb", closefd=False) as stream:
                line = stream.readline(MAX_PASSWORD + len("\r\n") + 1)
        except OSError as error:
            raise UsersError(f"standard input: {error}") from None
        if not line:
            raise UsersError("no password was given on standard input")
        # What is no UTF-8 is refused with what else is no password.
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        return line.decode(errors="surrogateescape")
    # By this, and not by the end of the process, the echo comes back.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        first, second = getpass("Password: "), getpass("Password again: ")
    except (KeyboardInterrupt, EOFError):
        raise UsersError("no password was given") from None
    except UnicodeDecodeError as error:
        raise UsersError(f"the password is no text in {error.encoding}") from None
    finally:
        signal.signal(signal.SIGINT, before)
    if first != second:
        raise UsersError("the two passwords differ")
    return first


def change_users(users: Users, options: Namespace) -> str:
    """Do what a command asks for; what it says about it."""
    if options.command == "list":
        return "".join(f"{user.user_id:>6}  {user.name}\n" for user in users.all())
    if options.command == "deluser":
        user = users.remove(options.name)
        return f"{users.path}: user {user.name} (id {user.user_id}) removed\n"
    name, password = options.name, options.password
    # Before a password is typed in vain.
    expect = users.expect_nobody if options.command == "adduser" else users.find
    expect(name)
    if password is None:
        password = read_password()
    if options.command == "adduser":
        user = users.add(name, password)
        return f"{users.path}: user {user.name} added with id {user.user_id}\n"
    user = users.change_password(name, password)
    return f"{users.path}: password of user {user.name} changed\n"


def run_command(argv: Sequence[str] | None) -> int:
    """Do what a command line asks for; the exit code."""
    options = arguments().parse_args(argv)
    try:
        path = existing(options.config)
        if options.command is None:
            # Loaded when it is wanted: the other commands need nothing of it.
            from twisted.internet import reactor

            from anychat.business.sample.run import run

            return run(path, reactor)
        text = change_users(Users(users_beside(path)), options)
    except ConfigError as error:
        return complain(str(error), 2)
    except UsersError as error:
        return complain(str(error), 1)
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # Or it would fail again, and with a traceback, when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return complain(f"standard output: {error.strerror}", 1)
    return 0


def complain(text: str, code: int) -> int:
    """Say what is wrong on standard error; the exit code to end with."""
    for line in text.splitlines():
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return code
