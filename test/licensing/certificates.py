"""Certificates and revocation lists for the tests of who reads them."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.certificate import read_licence
from anychat.licensing.findings import LicenceError
from test.licences import authority, authority_pem, now

UNREADABLE = ResultCode.CERTFILE_GETINFOFAILED
INVALID = ResultCode.CERTFILE_DECODEFAIL
UNTRUSTED = ResultCode.CERTVERIFYFAILED


def as_der(pem):
    """The first certificate of a PEM."""
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def as_der_list(pem):
    """A revocation list's DER."""
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def serial_of(pem):
    """The serial number of the first certificate of a PEM."""
    return x509.load_pem_x509_certificate(pem).serial_number


def revocation_list(serial, issuer=None):
    """A list of one serial number."""
    reasons = {serial: x509.ReasonFlags.superseded}
    return (issuer or authority()).revoke(reasons, now())


class LicenceCase(SynchronousTestCase):
    """Reads as a server of version 6.0.1 whose vendor is `authority`."""

    def read(self, data, crl=None, trusted=None, version="6.0.1"):
        """Read a licence."""
        return read_licence(
            data, [authority_pem()] if trusted is None else trusted, crl, version
        )

    def assertRefused(self, code, text, function, *arguments, **more):
        """It is refused with this code and text."""
        with self.assertRaises(LicenceError) as caught:
            function(*arguments, **more)
        self.assertEqual(caught.exception.code, code)
        self.assertIn(text, caught.exception.text)
