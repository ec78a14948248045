"""Licences, findings and times for the tests of what follows of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from anychat.codes import ResultCode
from anychat.licensing.findings import Finding
from anychat.licensing.licence import AddressBinding, DomainBinding, Grant, Licence

#: In the middle of the licence's time.
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

LICENCE = Licence(
    grant=Grant(
        "Example Bank",
        20,
        ("distributed",),
        (DomainBinding("video.example"), AddressBinding(("192.0.2.1",))),
    ),
    serial=0xBEEF,
    subject="CN=Example Bank",
    issuer="CN=Vendor",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    digest="11" * 32,
)
OTHER = replace(LICENCE, grant=replace(LICENCE.grant, max_users=30), digest="22" * 32)
EITHER = replace(LICENCE, grant=replace(LICENCE.grant, match_all=False))

GOOD = (
    Finding(ResultCode.SUCCESS, "domain", "video.example leads to 192.0.2.1"),
    Finding(ResultCode.SUCCESS, "address", "this host has 192.0.2.1"),
)
#: The address is gone for good.
BAD = (
    GOOD[0],
    Finding(ResultCode.CERTFILE_BINDIPFAIL, "address", "this host has 192.0.2.2"),
)
#: The name service gives no answer.
DOUBTFUL = (
    Finding(
        ResultCode.CERTFILE_DNSFAIL, "domain", "video.example: no answer", passing=True
    ),
    GOOD[1],
)
