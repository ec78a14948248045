"""Looks at signed logins before the core does: signature, time, application.

Whether a signature has been used, and whom it lets in, is the core's to say.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import LoginEx
from anychat.protocols.signature import SignatureKey


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """Which signatures are taken."""

    key: SignatureKey | None = None
    """None: none is."""
    app_id: str = ""
    """The application's id; empty: any."""
    window: float = 300.0
    """Seconds that a signature may be old, or from the future."""
    require: bool = False
    """Nobody gets in without one."""


class SignatureCheck:
    """Holds signed logins against the settings.

    :param clock: seconds since 1970, UTC.
    """

    def __init__(self, settings: SignatureSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self.require = settings.require
        """Whether logins without a signature are refused."""
        self.remaining = 2 * settings.window + 1
        """Seconds after which no signature that is taken now would be again."""

    def check(self, message: LoginEx) -> ResultCode:
        """0, or why the signature lets nobody in."""
        try:
            self._check(message)
        except Refused as refused:
            return refused.code
        return ResultCode.SUCCESS

    def _check(self, message: LoginEx) -> None:
        settings, key = self._settings, self._settings.key
        if key is None:
            raise Refused(ResultCode.SIGPUBLICKEYEMPTY)
        if not message.signature:
            raise Refused(ResultCode.SIGSTREMPTY)
        if message.user_id < -1 or message.user_id == 0:
            raise Refused(ResultCode.SIGPARAMFAIL)
        if (
            (message.user_id < 0 and not message.string_id)
            or not message.app_id
            or not message.timestamp
        ):
            raise Refused(ResultCode.SIGPARAMEMPTY)
        verified = key.verifies(message)
        if settings.app_id and message.app_id.upper() != settings.app_id.upper():
            raise Refused(ResultCode.APPID_NOTMATCH)
        if not verified:
            raise Refused(ResultCode.SIGVERIFYFAIL)
        if abs(self._clock() - message.timestamp) > settings.window:
            raise Refused(ResultCode.SIGTIMEFAILURE)


def digest(message: LoginEx) -> bytes:
    """What a signature is known by after it has been used."""
    return hashlib.sha256(message.signature).digest()
