"""Pauses, error codes and addresses of connections."""

import random

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.link import Backoff, connect_error, is_loopback
from anychat.codes import ResultCode
from anychat.errors import PeerError, Refused


class BackoffTests(SynchronousTestCase):
    """`Backoff`."""

    def test_bounds(self):
        """Pauses grow, spread, and stay between half a second and ten."""
        source = random.Random(1)
        backoff = Backoff(source.uniform)
        pauses = [backoff.next() for _ in range(200)]
        self.assertTrue(all(0.5 <= pause <= 10.0 for pause in pauses))
        self.assertLessEqual(pauses[0], 1.0)
        self.assertGreater(max(pauses), 9.0)
        self.assertLess(min(pauses[10:]), 2.0)

    def test_doubles(self):
        """The longest pause doubles each time, until it is reset."""
        backoff = Backoff(lambda low, high: high)
        self.assertEqual(
            [backoff.next() for _ in range(6)], [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        )
        backoff.reset()
        self.assertEqual(backoff.next(), 1.0)


class ErrorTests(SynchronousTestCase):
    """`connect_error`."""

    def test_codes(self):
        """What a connection can meet, and AnyChat's number for it."""
        verification = type("VerificationError", (Exception,), {})()
        openssl = type("Error", (Exception,), {"__module__": "OpenSSL.SSL"})
        for cause, code in (
            (error.DNSLookupError(), ResultCode.CONNECT_DNSERROR),
            (error.UnknownHostError(), ResultCode.CONNECT_DNSERROR),
            (ValueError("invalid hostname"), ResultCode.CONNECT_DNSERROR),
            (error.TimeoutError(), ResultCode.CONNECT_TIMEOUT),
            (error.TCPTimedOutError(), ResultCode.CONNECT_TIMEOUT),
            (CancelledError(), ResultCode.CONNECT_TIMEOUT),
            (error.ConnectionRefusedError(), ResultCode.CONNECT_SOCKETERR),
            (error.NoRouteError(), ResultCode.CONNECT_SOCKETERR),
            (error.ConnectionDone(), ResultCode.CONNECT_ABORT),
            (error.ConnectionLost(), ResultCode.CONNECT_ABORT),
            (verification, ResultCode.CERTVERIFYFAIL),
            (openssl("certificate verify failed"), ResultCode.CERTVERIFYFAIL),
            (openssl("wrong version number"), ResultCode.SECURITYBREAK),
            (Refused(ResultCode.KICKOUT), ResultCode.KICKOUT),
            (PeerError("nonsense"), ResultCode.PROTOCOLFAIL),
        ):
            self.assertEqual(connect_error(Failure(cause)).code, code, cause)


class LoopbackTests(SynchronousTestCase):
    """`is_loopback`."""

    def test_addresses(self):
        """Only literals of this machine are."""
        for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(address))
        for address in ("192.0.2.1", "::2", "fe80::1%lo", "localhost", ""):
            self.assertFalse(is_loopback(address))
