"""What the log says about the licence: the product's lines, and what to do."""

from collections.abc import Iterator

from anychat import banner
from anychat.licensing.description import describe
from anychat.licensing.findings import Finding
from anychat.licensing.licence import Licence
from anychat.licensing.status import Standing, Status

#: Bit of ExternFlags: the content of the licence goes into the log.
SHOW_CONTENT = 64


def news(before: Status | None, status: Status) -> Iterator[str]:
    """What is new about how the server stands.

    :param before: what was logged last; None: nothing was.
    """
    if (
        before is None
        or (before.standing, before.code, before.serial)
        != (status.standing, status.code, status.serial)
        or before.terms.login_refusal != status.terms.login_refusal
    ):
        yield from _standing(status)
    elif before.terms.entry_refusal != status.terms.entry_refusal:
        yield f"Warning:No new entries and calls any more: {_reason(status)}"
    if status.warning and (before is None or before.warning != status.warning):
        assert status.not_after is not None
        days = "1 day" if status.days_left == 1 else f"{status.days_left} days"
        advice = "put a renewed AnyChat.cer there"
        if status.contact is not None:
            advice = (
                f"the last contact with the master was on "
                f"{status.contact:%Y-%m-%d %H:%M} UTC, bring it back"
            )
        yield (
            f"Warning:The licence of {status.customer} expires in {days}, on "
            f"{status.not_after:%Y-%m-%d %H:%M} UTC: {advice}"
        )


def doubt(finding: Finding) -> str:
    """A check has failed that does not count yet."""
    return (
        f"Warning:Licence check of {finding.subject} failed once, "
        f"{finding.text}.(errorcode={finding.code:d})"
    )


def content(licence: Licence) -> Iterator[str]:
    """The content of a licence (ExternFlags=64)."""
    for line in describe(licence):
        yield f"Licence content, {line}"


def _standing(status: Status) -> Iterator[str]:
    if status.standing is Standing.DEMO:
        yield banner.DEMO_MODE
    elif status.standing is Standing.VALID:
        yield banner.AUTHORIZED
        yield status.text[:1].upper() + status.text[1:]
    elif status.standing is Standing.GRACE:
        yield f"Warning:Licence check failed, {_reason(status)}"
    else:
        yield banner.unauthorized(status.code)
        yield f"Warning:No new logins: {_reason(status)}"


def _reason(status: Status) -> str:
    return f"{status.text}.(errorcode={status.code:d})"
