"""What protecting a packet costs: our SRTP, libsrtp's Python binding, bare AESGCM.

    python benchmarks/srtp.py

Microseconds of CPU time for each packet, the median of seven rounds in which
the three take turns.  The server does none of this for media: it forwards
ciphertext.
"""

import statistics
from time import process_time

import pylibsrtp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anychat.media.rtp import RtpPacket
from anychat.media.srtp import SrtpReceiver, SrtpSender

KEY, SALT, SSRC = bytes(range(16)), bytes(range(12)), 0x1234
PACKETS = 20_000
ROUNDS = 7


def packets(size):
    """RTP packets with a payload of that many bytes."""
    payload = bytes(size)
    return [
        RtpPacket(96, number & 0xFFFF, number, SSRC, False, payload).build()
        for number in range(PACKETS)
    ]


def per_packet(function, items):
    """Microseconds of CPU time for each item."""
    start = process_time()
    for item in items:
        function(item)
    return (process_time() - start) / len(items) * 1e6


def library(kind):
    """A session of libsrtp."""
    return pylibsrtp.Session(
        pylibsrtp.Policy(
            key=KEY + SALT,
            ssrc_type=kind,
            srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        )
    )


def measure(plain):
    """One round: name -> microseconds."""
    cipher, nonce, header = AESGCM(KEY), bytes(12), plain[0][:12]
    protected = list(map(SrtpSender(KEY, SALT, SSRC).protect, plain))
    return {
        "bare AESGCM encrypt": per_packet(
            lambda packet: cipher.encrypt(nonce, packet[12:], header), plain
        ),
        "ours, protect": per_packet(SrtpSender(KEY, SALT, SSRC).protect, plain),
        "libsrtp, protect": per_packet(
            library(pylibsrtp.Policy.SSRC_ANY_OUTBOUND).protect, plain
        ),
        "ours, unprotect": per_packet(
            SrtpReceiver(KEY, SALT, SSRC, 0, 0).unprotect, protected
        ),
        "libsrtp, unprotect": per_packet(
            library(pylibsrtp.Policy.SSRC_ANY_INBOUND).unprotect, protected
        ),
    }


def main():
    """Measure and print."""
    for size in (160, 1100):
        plain = packets(size)
        rounds = [measure(plain) for _ in range(ROUNDS)]
        print(f"payload of {size} bytes, us for each packet")
        for name in rounds[0]:
            figure = statistics.median(each[name] for each in rounds)
            print(f"  {name:22}{figure:6.2f}")


if __name__ == "__main__":
    main()
