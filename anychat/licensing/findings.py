"""What was found about a licence: a code of the product, where, and what to do."""

from dataclasses import dataclass

from anychat.codes import ResultCode
from anychat.errors import AnyChatError


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    code: ResultCode
    """0: as it should be."""
    subject: str
    """What was checked: ``certificate``, ``hardware``, ``domain``, ``address``,
    ``ukey``, ``clock``."""
    text: str
    """What is so, and what to do if it should not be; no raw serial numbers."""
    passing: bool = False
    """Of a failure: it may be gone at the next try (name service, busy USB), so one
    alone does not count."""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.code == ResultCode.SUCCESS


class LicenceError(AnyChatError):
    """A licence, a revocation list or a request cannot be used."""

    def __init__(self, code: ResultCode, text: str) -> None:
        super().__init__(f"{text}.(errorcode={code:d})")
        self.code = code
        """711, 800, 802 or 28; of a binding that cannot be read 810, 860, 861, 862."""
        self.text = text
