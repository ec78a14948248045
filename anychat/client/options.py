"""The command line of ``anychat-client``, read and checked."""

import argparse
from collections.abc import Mapping, Sequence

from anychat.client.parser import FORBIDS, parser
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
    Trust,
)
from anychat.errors import ConfigError


def parse(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> argparse.Namespace:
    """Options of a command line; exits with 2 if it is wrong."""
    whole = parser()
    options = whole.parse_args(arguments)
    if options.command == "udpcheck":
        return options
    try:
        options.trust = _trust(options)
    except ConfigError as error:
        whole.error(str(error))
    if options.command == "send-text":
        _fill_secrets(options, environment)
        if options.to is None and options.room is None:
            whole.error("send-text needs --to or --room")
        if options.secret and options.to is None:
            whole.error("--secret goes with --to")
        if options.plain and (options.password or options.room_password):
            whole.error("--plain carries no passwords")
        return options
    if options.command in ("call", "answer"):
        _fill_secrets(options, environment)
        if options.plain:
            whole.error("--plain carries no media")
        if len(options.text.encode("utf-8", "replace")) > 16384:
            whole.error("--text has at most 16384 bytes of UTF-8")
        for name in getattr(options, "forbid", ()):
            options.flags |= FORBIDS[name]
        options.watch, options.media, options.say = frozenset(), True, None
        _check_overrides(whole, options)
        return options
    if options.command == "send-file":
        _fill_secrets(options, environment)
        if options.plain and options.password:
            whole.error("--plain carries no passwords")
        if options.guid is None and options.text:
            whole.error("--text goes with --guid")
        if options.guid is not None and len(options.file) > 1:
            whole.error("--guid names one file")
        if options.guid is not None and not 0 < len(options.guid.encode()) <= 64:
            whole.error("a GUID has 1 to 64 bytes")
        return options
    if options.command == "nettest":
        _fill_secrets(options, environment)
        if options.plain:
            whole.error("--plain carries no media, so nothing can be measured")
        return options
    if options.command == "join":
        _fill_secrets(options, environment)
        if options.save is not None and options.watch == frozenset():
            options.watch = None
        watches = options.watch is None or bool(options.watch)
        if options.plain and (
            options.password or options.room_password or options.publish or watches
        ):
            whole.error("--plain carries neither passwords nor media")
        options.media = watches or options.publish is not None
        _check_overrides(whole, options)
    return options


def _check_overrides(
    whole: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    options.overrides = _overrides(options)
    if options.overrides and options.publish is None:
        whole.error(
            "--video-size, --fps, --video-bitrate and --layers go with --publish"
        )


def _fill_secrets(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    if options.password is None:
        options.password = environment.get("ANYCHAT_PASSWORD", "")
    if options.auth_pass is None:
        options.auth_pass = environment.get("ANYCHAT_AUTH_PASS", "")


def _overrides(options: argparse.Namespace) -> dict[str, int]:
    """Media parameters that replace the server's, by their names."""
    overrides = {
        "video_fps": options.fps,
        "video_bitrate": options.video_bitrate,
        "video_layers": options.layers,
    }
    if options.video_size is not None:
        overrides["video_width"], overrides["video_height"] = options.video_size
    return {name: value for name, value in overrides.items() if value is not None}


def _trust(options: argparse.Namespace) -> Trust:
    if options.ca is not None:
        return Authority(options.ca)
    if options.fingerprint is not None:
        return Fingerprint(options.fingerprint)
    if options.insecure:
        return AnyCertificate()
    return KnownServers()
