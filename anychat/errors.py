"""The five kinds of error, each with one behaviour.

==============  ===========================================================
kind            what the shell does with it
==============  ===========================================================
`PeerError`     the peer broke the protocol: close its link with the code
`Refused`       a normal "no": answer the request with the code
`Unavailable`   something this server depends on did not answer: answer too
`ConfigError`   stop the start, tell the operator file, line, key and value
`LocalError`    our own bug: log it whole, tell the peer an opaque code
==============  ===========================================================

Only codes ever reach a peer; the texts are for the log.
"""

from anychat.codes import ResultCode


class AnyChatError(Exception):
    """Base of the five kinds."""


class PeerError(AnyChatError):
    """The peer sent what the protocol does not allow."""

    def __init__(self, reason: str, code: ResultCode = ResultCode.PROTOCOLFAIL):
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Refused(AnyChatError):
    """A request that is understood and not granted."""

    def __init__(self, code: ResultCode, reason: str = ""):
        text = f"{code.value} {code.name}: {code.text}"
        super().__init__(f"{text}: {reason}" if reason else text)
        self.code = code
        self.reason = reason
        """What more is known of it than the code says, or empty."""


class Unavailable(AnyChatError):
    """A dependency (business server, resolver, ...) gave no answer."""

    def __init__(self, code: ResultCode, reason: str = ""):
        super().__init__(reason or f"{code.value} {code.name}: {code.text}")
        self.code = code


class ConfigError(AnyChatError):
    """A setting that cannot be used; the text names where and what is allowed."""


class LocalError(AnyChatError):
    """An invariant of this program does not hold."""
