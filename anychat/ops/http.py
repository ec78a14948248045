"""HTTP for operators: ``/health`` (JSON), ``/metrics`` (Prometheus text), ``/blocked``.

Read-only, on the loopback address unless configured otherwise.  A busy port
costs the operator these two pages and no caller anything, so it is logged and
the server goes on.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from anychat import banner

#: Seconds after which an idle or half-sent request is dropped.
REQUEST_TIMEOUT = 10


class Page(Resource):
    """A page whose body is made for each request."""

    isLeaf = True

    def __init__(self, content_type: bytes, body: Callable[[], bytes]) -> None:
        super().__init__()
        self._content_type = content_type
        self._body = body

    def render_GET(self, request: Request) -> bytes:
        """Answer GET and HEAD."""
        request.setHeader(b"content-type", self._content_type)
        request.setHeader(b"cache-control", b"no-store")
        return self._body()


class QuietSite(Site):
    """Keeps no access log: every scrape would show in the server's log."""

    noisy = False

    def log(self, request: Any) -> None:
        """Nothing."""


def site(
    health: Callable[[], Mapping[str, object]],
    metrics: Callable[[], bytes],
    blocked: Callable[[], list[str]] = list,
) -> QuietSite:
    """The site with its pages.

    :param health: the facts that ``/health`` shows.
    :param metrics: the body of ``/metrics``.
    :param blocked: the addresses that ``/blocked`` lists.
    """
    root = Resource()
    root.putChild(
        b"health",
        Page(b"application/json", lambda: json.dumps(health()).encode() + b"\n"),
    )
    root.putChild(
        b"blocked",
        Page(b"application/json", lambda: json.dumps(blocked()).encode() + b"\n"),
    )
    root.putChild(b"metrics", Page(b"text/plain; version=0.0.4", metrics))
    return QuietSite(root, timeout=REQUEST_TIMEOUT)


class HttpService(Service):
    """Listens for operators."""

    def __init__(
        self,
        reactor: Any,
        address: str,
        port: int,
        factory: Site,
        log: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._number = port
        self._factory = factory
        self._log = log
        self.port: Any = None
        """The listening port, None while there is none."""

    def startService(self) -> None:
        """Open the port; log it if that cannot be done."""
        super().startService()
        try:
            self.port = self._reactor.listenTCP(
                self._number, self._factory, interface=self._address
            )
        except CannotListenError:
            self._log(
                f"{banner.failed('HTTP', self._number)} /health and /metrics are off"
            )
        else:
            self._log(banner.started("HTTP", self.port.getHost().port))

    def stopService(self) -> Deferred[None]:
        """Close the port."""
        super().stopService()
        port, self.port = self.port, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)
