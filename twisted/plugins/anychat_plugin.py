"""Makes ``twistd anychat`` and ``twistd anychat-business`` known to Twisted."""

from twisted.application.service import ServiceMaker

anychat = ServiceMaker("AnyChat", "anychat.tap", "AnyChat core server.", "anychat")
anychat_business = ServiceMaker(
    "AnyChat business",
    "anychat.business.sample.tap",
    "AnyChat sample business server.",
    "anychat-business",
)
