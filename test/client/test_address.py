"""Addresses that users type."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.address import parse_address


class AddressTests(SynchronousTestCase):
    """Hosts and ports."""

    def test_forms(self):
        """Names, IPv4 and IPv6 literals, with and without a port."""
        for text, expected in (
            ("host", ("host", 8906)),
            ("host:1", ("host", 1)),
            ("192.0.2.1:65535", ("192.0.2.1", 65535)),
            ("[::1]:8000", ("::1", 8000)),
            ("[::1]", ("::1", 8906)),
            ("::1", ("::1", 8906)),
            ("[fe80::1%eth0]:8000", ("fe80::1%eth0", 8000)),
        ):
            self.assertEqual(parse_address(text), expected)

    def test_refused(self):
        """What is none of these is refused."""
        for text in (
            "",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "host:-1",
            "host:x",
            "[::1",
            "[::1]8906",
            "[]:1",
            "a b",
            "user@host",
            "host/path",
        ):
            self.assertRaises(ValueError, parse_address, text)
