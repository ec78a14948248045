"""Packets that are right, for tests that make them wrong or keep them as bytes."""

from hypothesis import strategies

from anychat.media import rtcp, signals, stun
from anychat.media.rtp import FrameMarking, RtpPacket
from anychat.media.srtp import SrtcpSender, SrtpSender

KEY = bytes(range(16))
SALT = bytes(range(0xA0, 0xAC))
STUN_KEY = b"a key of the session"
USERNAME = "17:c3ab"
TRANSACTION = bytes(range(12))
#: SSRC of the publication in the samples.
MEDIA_SSRC = 0x11223344
#: RTCP SSRC of the session in the samples.
LEG_SSRC = 0x55667788

VIDEO = RtpPacket(
    payload_type=96,
    sequence=0x0102,
    timestamp=90000,
    ssrc=MEDIA_SSRC,
    marker=True,
    payload=bytes.fromhex("65b80004"),
    marking=FrameMarking(start=True, end=True, independent=True),
)
AUDIO = RtpPacket(
    payload_type=111,
    sequence=7,
    timestamp=960,
    ssrc=MEDIA_SSRC,
    marker=False,
    payload=bytes.fromhex("f8fffe"),
)
REPORT = rtcp.ReportBlock(
    ssrc=MEDIA_SSRC,
    fraction_lost=8,
    lost=-2,
    highest=0x0001_0203,
    jitter=45,
    last_report=0x89AB_CDEF,
    delay=65536,
)
SENDER_COMPOUND = [
    rtcp.SenderReport(
        ssrc=MEDIA_SSRC,
        ntp=0xE8FE_5F80_8000_0000,
        timestamp=90000,
        packets=150,
        octets=15000,
    ),
    rtcp.SourceDescription(MEDIA_SSRC, "17"),
]
RECEIVER_COMPOUND = [
    rtcp.ReceiverReport(LEG_SSRC, (REPORT,)),
    rtcp.SourceDescription(LEG_SSRC, "17"),
    rtcp.Nack(LEG_SSRC, MEDIA_SSRC, (65534, 0, 14, 15)),
    rtcp.Pli(LEG_SSRC, MEDIA_SSRC),
]
BYE_COMPOUND = [
    rtcp.ReceiverReport(LEG_SSRC),
    rtcp.Bye((LEG_SSRC, MEDIA_SSRC), "over"),
]

FEEDBACK_COMPOUND = [
    rtcp.CongestionFeedback(
        LEG_SSRC, (rtcp.StreamArrivals(MEDIA_SSRC, 65534, (100, None, 34)),), 0x00051000
    )
]
SIGNALS = (
    signals.ProbeResult(7, 6, 5820, 0.012345),
    signals.LayerPlace(MEDIA_SSRC, 0x11223345, 1, 258),
    signals.LeftOut(MEDIA_SSRC, (65535, 0, 1)),
)
SIGNALS_COMPOUND = [signals.wrap(LEG_SSRC, signal) for signal in SIGNALS]

#: One SDES chunk with a TOOL item before its CNAME, and a chunk without one.
DESCRIPTIONS = bytes.fromhex(
    "82ca0006 55667788 0603414243 01023137 000000 11223344 00000000"
)

REQUEST = stun.request(TRANSACTION, USERNAME, STUN_KEY, "client")
PLAIN_REQUEST = stun.build(
    stun.MessageClass.REQUEST, TRANSACTION, software="check tool"
)
SUCCESS_IPV4 = stun.success(
    stun.parse(REQUEST), ("192.0.2.33", 32853), STUN_KEY, "server"
)
SUCCESS_IPV6 = stun.success(
    stun.parse(REQUEST), ("2001:db8::4:5", 32853), STUN_KEY, "server"
)
SUCCESS_BOUND = stun.success(
    stun.parse(REQUEST), ("192.0.2.33", 32853), STUN_KEY, bound=True
)
FAILURE = stun.build(
    stun.MessageClass.ERROR,
    TRANSACTION,
    error=stun.ErrorCode.UNKNOWN_ATTRIBUTE,
    unknown=(0x0024, 0x0025),
    key=STUN_KEY,
)
SHA256_REQUEST = stun.build(
    stun.MessageClass.REQUEST,
    TRANSACTION,
    username=USERNAME,
    key=STUN_KEY,
    integrity=stun.Integrity.SHA256,
)

#: Name (which is also the golden file's) -> bytes.
VALID = {
    "rtp-video": VIDEO.build(),
    "rtp-audio": AUDIO.build(),
    # Two CSRCs, another element before the marking's long form, four bytes of
    # padding.
    "rtp-everything": bytes.fromhex(
        "b2607ffe 00000001 11223344 00000001 00000002 bede0002 20ff0012 a0000000"
    )
    + b"payload"
    + bytes.fromhex("00000004"),
    "rtcp-sender": rtcp.build(SENDER_COMPOUND),
    "rtcp-receiver": rtcp.build(RECEIVER_COMPOUND),
    "rtcp-bye": rtcp.build(BYE_COMPOUND),
    "rtcp-descriptions": DESCRIPTIONS,
    "rtcp-feedback": rtcp.build(FEEDBACK_COMPOUND),
    "rtcp-signals": rtcp.build(SIGNALS_COMPOUND),
    "stun-request": REQUEST,
    "stun-plain-request": PLAIN_REQUEST,
    "stun-sha256-request": SHA256_REQUEST,
    "stun-success-ipv4": SUCCESS_IPV4,
    "stun-success-ipv6": SUCCESS_IPV6,
    "stun-success-bound": SUCCESS_BOUND,
    "stun-failure": FAILURE,
    "srtp-video": SrtpSender(KEY, SALT, MEDIA_SSRC).protect(VIDEO.build()),
    "srtp-audio": SrtpSender(KEY, SALT, MEDIA_SSRC, roc=5).protect(AUDIO.build()),
    "srtcp-sender": SrtcpSender(KEY, SALT, MEDIA_SSRC).protect(
        rtcp.build(SENDER_COMPOUND)
    ),
    "srtcp-receiver": SrtcpSender(KEY, SALT, LEG_SSRC, index=300).protect(
        rtcp.build(RECEIVER_COMPOUND)
    ),
}


def rtp_with_extension(profile: int, elements: bytes, payload: bytes = b"x") -> bytes:
    """An RTP packet with that header extension, filled up to whole words."""
    elements += bytes(-len(elements) % 4)
    return (
        bytes.fromhex("90600001 00000002 00000003")
        + profile.to_bytes(2, "big")
        + (len(elements) // 4).to_bytes(2, "big")
        + elements
        + payload
    )


def rtcp_packet(kind: int, count: int, body: bytes, first: int = 0x80) -> bytes:
    """One RTCP packet with that body, filled up to whole words."""
    body += bytes(-len(body) % 4)
    words = (len(body) // 4).to_bytes(2, "big")
    return bytes((first | count, kind)) + words + body


def stun_message(*attributes: tuple[int, bytes], kind: int = 0x0001) -> bytes:
    """A STUN message with these attributes as they are given."""
    body = b"".join(
        number.to_bytes(2, "big")
        + len(value).to_bytes(2, "big")
        + value
        + bytes(-len(value) % 4)
        for number, value in attributes
    )
    return (
        kind.to_bytes(2, "big")
        + len(body).to_bytes(2, "big")
        + bytes.fromhex("2112a442")
        + TRANSACTION
        + body
    )


@strategies.composite
def mutations(draw, kinds=("rtp", "rtcp", "stun", "srtp", "srtcp")):
    """A valid packet with a few bytes changed, cut out or put in."""
    names = [name for name in VALID if name.partition("-")[0] in kinds]
    data = bytearray(VALID[draw(strategies.sampled_from(names))])
    for _ in range(draw(strategies.integers(1, 4))):
        position = draw(strategies.integers(0, len(data)))
        match draw(strategies.sampled_from(("change", "cut", "insert", "end"))):
            case "change":
                if position < len(data):
                    data[position] = draw(strategies.integers(0, 255))
            case "cut":
                del data[position : position + draw(strategies.integers(1, 8))]
            case "insert":
                data[position:position] = draw(strategies.binary(max_size=8))
            case "end":
                del data[position:]
    return bytes(data)


#: Whatever may come in a datagram: noise, and packets that are almost right.
datagrams = strategies.one_of(strategies.binary(max_size=1300), mutations())
