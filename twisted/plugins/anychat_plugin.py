"""Makes ``twistd anychat`` known to Twisted."""

from twisted.application.service import ServiceMaker

anychat = ServiceMaker("AnyChat", "anychat.tap", "AnyChat core server.", "anychat")
