"""The one table of codecs: AnyChat's numbers and what they are called in RTP.

AnyChat numbers codecs of its own (``VideoCodec`` and ``AudioCodec``); on the
wire a stream is known by its RTP payload type, which here is fixed for each
codec and needs no negotiation:

==============  ============  ===============  =======================
payload type    encoding      AnyChat number   RTP clock, Hz
==============  ============  ===============  =======================
0               PCMU          audio 101        8000 (RFC 3551)
8               PCMA          audio 102        8000 (RFC 3551)
96              H264          video 1          90000 (RFC 6184)
97              VP8           video 101        90000 (RFC 7741)
111             opus          audio 100        48000 (RFC 7587)
112             MPEG4-GENERIC audio 13         sample rate (RFC 3640)
113             AMR-WB        audio 11         16000 (RFC 4867)
==============  ============  ===============  =======================

A codec that is not in the table cannot be published.  Payload types are
append-only like everything that travels.
"""

from dataclasses import dataclass

from anychat.codes import AudioCodec, StreamKind, VideoCodec


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec under its three names."""

    payload_type: int
    """RTP payload type (RFC 3551 section 3), fixed."""
    kind: StreamKind
    number: VideoCodec | AudioCodec
    """AnyChat's number; video and audio are numbered apart."""
    encoding: str
    """Encoding name as it is registered for SDP."""
    clock_rates: tuple[int, ...]
    """RTP clocks that are allowed, in Hz, the usual one first."""

    @property
    def clock_rate(self) -> int:
        """The usual RTP clock, in Hz; the only one for all but AAC."""
        return self.clock_rates[0]


#: The RTP clock of AAC is the sample rate: those of MPEG-4 audio that a call
#: may use (ISO/IEC 14496-3 table 1.18, up to 48 kHz).
AAC_CLOCK_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)

CODECS = (
    Codec(0, StreamKind.AUDIO, AudioCodec.PCMU, "PCMU", (8000,)),
    Codec(8, StreamKind.AUDIO, AudioCodec.PCMA, "PCMA", (8000,)),
    Codec(96, StreamKind.VIDEO, VideoCodec.H264, "H264", (90000,)),
    Codec(97, StreamKind.VIDEO, VideoCodec.VP8, "VP8", (90000,)),
    Codec(111, StreamKind.AUDIO, AudioCodec.OPUS, "opus", (48000,)),
    Codec(112, StreamKind.AUDIO, AudioCodec.AAC, "MPEG4-GENERIC", AAC_CLOCK_RATES),
    Codec(113, StreamKind.AUDIO, AudioCodec.AMR_WB, "AMR-WB", (16000,)),
)

_BY_PAYLOAD_TYPE = {codec.payload_type: codec for codec in CODECS}
_BY_NUMBER = {(codec.kind, int(codec.number)): codec for codec in CODECS}


def by_payload_type(payload_type: int) -> Codec | None:
    """The codec with that RTP payload type, None if there is none."""
    return _BY_PAYLOAD_TYPE.get(payload_type)


def by_number(kind: StreamKind, number: int) -> Codec | None:
    """The codec with that AnyChat number, None if it cannot be published."""
    return _BY_NUMBER.get((kind, number))
