"""Tests of `anychat.protocols.tls` and `anychat.protocols.certificate`."""

import contextlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import ConfigError, PeerError
from anychat.protocols.certificate import fingerprint, self_signed
from anychat.protocols.tls import ServerContext, channel_binding, make_certificate
from test.protocols.dialogue import server_context


def handshake(client_context, session=None):
    """A client's and our server's TLS, after their handshake in memory."""
    client = SSL.Connection(client_context, None)
    if session is not None:
        client.set_session(session)
    client.set_connect_state()
    server = server_context().serverConnectionForTLS(None)
    server.set_accept_state()
    for _ in range(10):
        done = 0
        for here, there in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                here.do_handshake()
                done += 1
            with contextlib.suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(65536))
        if done == 2:
            return client, server
    raise AssertionError("no end to the handshake")


class Transport:
    """As much of a transport as `channel_binding` asks."""

    def __init__(self, connection):
        self._connection = connection

    def getHandle(self):
        """The OpenSSL connection."""
        return self._connection


class CertificateTests(SynchronousTestCase):
    """What a server makes itself at its first start."""

    def test_contents(self):
        """P-256, ten years, good for the names given."""
        now = datetime(2026, 11, 20, tzinfo=UTC)
        chain, key = self_signed(["localhost", "192.0.2.1", "::1"], now)
        certificate = x509.load_pem_x509_certificate(chain)
        self.assertIsInstance(certificate.public_key().curve, ec.SECP256R1)
        self.assertLess(certificate.not_valid_before_utc, now)
        self.assertGreater(certificate.not_valid_after_utc, now + timedelta(days=3650))
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["localhost"])
        self.assertEqual(
            names.get_values_for_type(x509.IPAddress),
            [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("::1")],
        )
        private = serialization.load_pem_private_key(key, None)
        self.assertEqual(private.public_key(), certificate.public_key())

    def test_everyOneIsFresh(self):
        """No two servers share a key."""
        now = datetime(2026, 11, 20, tzinfo=UTC)
        self.assertNotEqual(self_signed(["a"], now)[1], self_signed(["a"], now)[1])

    def test_fingerprint(self):
        """The fingerprint is OpenSSL's SHA-256 without its colons."""
        chain, _ = self_signed(["a"], datetime.now(UTC))
        loaded = SSL.X509.from_cryptography(x509.load_pem_x509_certificate(chain))
        expected = loaded.digest("sha256").decode().replace(":", "").lower()
        self.assertEqual(fingerprint(chain), expected)
        self.assertRaises(ValueError, fingerprint, b"nothing")


class FileTests(SynchronousTestCase):
    """The certificate's files."""

    def setUp(self):
        """An empty directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.certificate = self.directory / "server.crt"
        self.key = self.directory / "server.key"

    def make(self):
        """Make a certificate there."""
        return make_certificate(self.certificate, self.key, ["example.org"])

    def test_made(self):
        """Both files appear, the key for its owner alone, nothing else stays."""
        mask = os.umask(0)
        self.addCleanup(os.umask, mask)
        self.assertTrue(self.make())
        self.assertEqual(self.key.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.certificate.stat().st_mode & 0o777, 0o644)
        self.assertEqual(
            {path.name for path in self.directory.iterdir()},
            {"server.crt", "server.key"},
        )
        self.assertEqual(len(ServerContext(self.certificate, self.key).fingerprint), 64)

    def test_kept(self):
        """What is there is never replaced: clients have pinned it."""
        self.make()
        before = self.certificate.read_bytes(), self.key.read_bytes()
        self.assertFalse(self.make())
        self.assertEqual((self.certificate.read_bytes(), self.key.read_bytes()), before)

    def test_onlyOneIsThere(self):
        """A key without its certificate is a fault for the operator to mend."""
        self.make()
        self.certificate.unlink()
        error = self.assertRaises(ConfigError, self.make)
        self.assertIn("server.key", str(error))

    def test_cannotBeWritten(self):
        """A directory that is not there is a clear message."""
        self.assertRaises(
            ConfigError,
            make_certificate,
            self.directory / "no" / "a.crt",
            self.directory / "no" / "a.key",
            [],
        )

    def test_noCertificate(self):
        """Files that are none are a clear message."""
        self.make()
        other = self.directory / "other"
        self.assertRaises(ConfigError, ServerContext, other, self.key)
        other.write_bytes(b"nothing")
        self.assertRaises(ConfigError, ServerContext, other, self.key)
        self.assertRaises(ConfigError, ServerContext, self.certificate, other)

    def test_oneFileForBoth(self):
        """Certificate and key may stand in one file, as some tools write them."""
        self.make()
        both = self.directory / "both.pem"
        both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        own = ServerContext(self.certificate, self.key).fingerprint
        self.assertEqual(ServerContext(both, both).fingerprint, own)

    def test_noWarnings(self):
        """Nothing here is deprecated: with warnings as errors a server starts."""
        self.make()
        ServerContext(self.certificate, self.key)
        self.assertEqual(self.flushWarnings(), [])

    def test_keyOfAnother(self):
        """A key that does not fit its certificate is a clear message."""
        self.make()
        _, key = self_signed(["a"], datetime.now(UTC))
        self.key.write_bytes(key)
        self.assertRaises(ConfigError, ServerContext, self.certificate, self.key)

    def test_keyWithAPassPhrase(self):
        """A protected key is a clear message, not a prompt that waits."""
        self.make()
        private = serialization.load_pem_private_key(self.key.read_bytes(), None)
        self.key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"phrase"),
            )
        )
        self.assertRaises(ConfigError, ServerContext, self.certificate, self.key)


class HandshakeTests(SynchronousTestCase):
    """What the server's TLS agrees to."""

    def client(self, minimum=SSL.TLS1_2_VERSION, maximum=SSL.TLS1_3_VERSION):
        """A client that speaks these versions and checks nothing."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(minimum)
        context.set_max_proto_version(maximum)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        return context

    def test_newest(self):
        """Both sides able, it is TLS 1.3."""
        client, _ = handshake(self.client())
        self.assertEqual(client.get_protocol_version_name(), "TLSv1.3")

    def test_tls12(self):
        """TLS 1.2 has forward secrecy and an AEAD."""
        client, _ = handshake(self.client(maximum=SSL.TLS1_2_VERSION))
        self.assertEqual(client.get_protocol_version_name(), "TLSv1.2")
        self.assertTrue(client.get_cipher_name().startswith("ECDHE-"))
        self.assertRegex(client.get_cipher_name(), "GCM|CHACHA20")

    def test_older(self):
        """Anything older is refused."""
        context = self.client(SSL.TLS1_VERSION, SSL.TLS1_1_VERSION)
        self.assertRaises(SSL.Error, handshake, context)

    def test_channelBinding(self):
        """Both sides have the same binding, and no other connection has it."""
        bindings = []
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            for _ in range(2):
                client, server = handshake(self.client(version, version))
                ours = channel_binding(Transport(server))
                self.assertEqual(ours, channel_binding(Transport(client)))
                self.assertEqual(len(ours), 32)
                bindings.append(ours)
        self.assertEqual(len(set(bindings)), 4)

    def test_noBindingWithoutConnection(self):
        """A connection that has ended has no binding to fall back on."""
        self.assertRaises(PeerError, channel_binding, Transport(None))

    def test_resumption(self):
        """A client may come back with a ticket, and saves the key exchange."""
        context = self.client(maximum=SSL.TLS1_2_VERSION)
        first, _ = handshake(context)
        again, _ = handshake(context, first.get_session())
        other, _ = handshake(context)
        # In TLS 1.2 a resumed connection has the master secret of the first.
        self.assertEqual(again.master_key(), first.master_key())
        self.assertNotEqual(other.master_key(), first.master_key())
