"""``anychat-license check``: what this server would say about its licence."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool

import anychat
from anychat.codes import ResultCode
from anychat.config import FILE_NAME, Config, load
from anychat.errors import ConfigError
from anychat.licensing.addresses import resolver
from anychat.licensing.certificate import LICENCE_NAME, load_files, read_licence
from anychat.licensing.check import Host, check_all
from anychat.licensing.commands.console import FAILED, FINE, Console
from anychat.licensing.findings import Finding, LicenceError
from anychat.licensing.judge import Memory, judge, remember, resumed
from anychat.licensing.licence import HardwareBinding, Licence
from anychat.licensing.state_file import STATE_NAME, load_memory, machine_id
from anychat.licensing.status import Status

_DESCRIPTION = """\
Say what the server would say about its licence if it started now, binding by
binding, with the codes of its log. Nothing is changed, and a server that runs goes
on. Run it as the user that the server runs as (sudo -u anychat anychat-license
check), for another user may see another machine.
"""

#: Makes what the checks need of a host from a reactor and the configuration.
MakeHost = Callable[[Any, Config], Host]


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="say what this server would say about its licence",
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=Path(FILE_NAME),
        help=f"the server's configuration; {LICENCE_NAME} is beside it (default: "
        f"{FILE_NAME})",
    )
    parser.set_defaults(run=check_licence)


def this_host(reactor: Any, config: Config) -> Host:
    """The host that this program runs on."""
    return Host(
        resolver(reactor.nameResolver, reactor),
        partial(deferToThreadPool, reactor, reactor.getThreadPool()),
        tuple(map(ip_address, config.media.public_address)),
    )


def check_licence(
    arguments: Namespace, console: Console, make_host: MakeHost = this_host
) -> int:
    """Run the command."""
    config = load(arguments.config)
    if not config.path.exists():
        raise ConfigError(f"{config.path}: no such file; see --config")
    if config.base.demo_mode:
        console.say("DemoMode=1: the server needs no licence and looks at none.")
        console.say("With DemoMode=0 it would say:")
    try:
        licence = _read(config, console)
    except LicenceError as error:
        console.say(_line(Finding(error.code, "certificate", error.text)))
        for line in _verdict(judge(error, (), console.now, Memory())):
            console.say(line)
        return FAILED
    if os.geteuid() == 0 and any(
        isinstance(binding, HardwareBinding) for binding in licence.grant.bindings
    ):
        console.warn("root may see more of the machine than the server's user does")
    hosts: list[Host] = []

    def start(reactor: Any) -> Any:
        hosts.append(make_host(reactor, config))
        return check_all(licence.grant.bindings, hosts[0])

    findings: list[Finding] = console.wait(start)
    status = _judged(licence, findings, config, hosts[0], console)
    for line in _report(licence, findings, status):
        console.say(line)
    return FAILED if status.code else FINE


def _read(config: Config, console: Console) -> Licence:
    files = load_files(config.directory, config.base.license_ca)
    if files.note:
        console.warn(files.note)
    return read_licence(files.data, files.trusted, files.crl, anychat.__version__)


def _judged(
    licence: Licence,
    findings: list[Finding],
    config: Config,
    host: Host,
    console: Console,
) -> Status:
    """How a server would stand that started now."""
    path = config.directory / STATE_NAME
    try:
        memory = load_memory(path, licence.digest, machine_id(host.root))
    except OSError as error:
        console.warn(f"{path}: {error.strerror}; so nothing of earlier runs counts")
        memory = Memory()
    memory = resumed(memory, licence, findings, console.now)
    memory = remember(memory, licence, findings, console.now)
    return judge(licence, findings, console.now, memory)


def _report(licence: Licence, findings: list[Finding], status: Status) -> Iterator[str]:
    yield _line(
        Finding(ResultCode.SUCCESS, "certificate", f"signed by {licence.issuer}")
    )
    yield from map(_line, findings)
    if len(findings) > 1:
        all_or_one = "all" if licence.grant.match_all else "one"
        yield f"{all_or_one} of the {len(findings)} bindings must match"
    yield from _verdict(status)


def _verdict(status: Status) -> Iterator[str]:
    verdict = str(status.standing).upper()
    yield f"{verdict}: {status.text}" + (f" ({status.code:d})" if status.code else "")
    if refusal := status.terms.login_refusal:
        yield f"Nobody new could sign in: {refusal:d}, {refusal.text}"
    if status.warning:
        days = "1 day" if status.days_left == 1 else f"{status.days_left} days"
        yield f"It ends in {days}: have it renewed"


def _line(finding: Finding) -> str:
    seen = "ok" if finding.ok else f"FAILED ({finding.code:d})"
    return f"{finding.subject}: {seen}: {finding.text}"
