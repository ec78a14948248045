"""What a published stream looks like on the wire: how much, and when.

A stream is a series of bursts, `Pattern.period` apart; a burst is some packets
of one size that leave together.  For video a burst is a frame cut into equal
fragments, as our packetizer and hardware encoders cut them, and every so often
comes a key frame of more fragments.  For audio, and for the plain patterns of
``--size`` and ``--rate``, all bursts are alike and carry no frame marking.
"""

from dataclasses import dataclass

from anychat.codecs import by_number
from anychat.codes import AudioCodec, StreamKind, VideoCodec
from anychat.media.rtp import FIXED_HEADER, MARKING_EXTENSION, MAX_DATAGRAM, SRTP_TAG
from anychat.messages import StreamFormat

#: Bytes at the start of the payload that say when the packet was sent.
STAMP = 8
#: Shortest datagram that has room for everything.
SHORTEST = FIXED_HEADER + MARKING_EXTENSION + STAMP + SRTP_TAG
LONGEST = MAX_DATAGRAM
#: Most packets of a burst: what one UDP_SEGMENT send takes.
LONGEST_BURST = 64

_OPUS = by_number(StreamKind.AUDIO, AudioCodec.OPUS)
_H264 = by_number(StreamKind.VIDEO, VideoCodec.H264)
assert _OPUS is not None and _H264 is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one stream is sent."""

    kind: StreamKind
    format: StreamFormat
    """What `OpenStream` says of it."""
    size: int
    """Bytes of every datagram."""
    period: float
    """Seconds from one burst to the next."""
    fragments: int
    """Packets of a burst."""
    key_fragments: int = 0
    """Packets of a key frame's burst; 0: there are no key frames."""
    key_every: int = 0
    """Bursts from one key frame to the next."""

    @property
    def ticks(self) -> int:
        """RTP clock ticks from one burst to the next."""
        return round(self.format.clock_rate * self.period)

    @property
    def rate(self) -> float:
        """Packets a second, in the mean."""
        fragments: float = self.fragments
        if self.key_every:
            extra = self.key_fragments - self.fragments
            fragments += extra / self.key_every
        return fragments / self.period


def steady(size: int, rate: float, burst: int = 1) -> Pattern:
    """Packets of one size, evenly spaced, or in bursts of some at once.

    They go as audio, which is forwarded without regard to frames.
    """
    assert _OPUS is not None
    form = StreamFormat(
        payload_type=_OPUS.payload_type,
        clock_rate=_OPUS.clock_rate,
        bitrate=min(round(size * rate * 8), 100_000_000),
        channels=1,
    )
    return Pattern(StreamKind.AUDIO, form, size, burst / rate, burst)


def _video(
    width: int, height: int, fps: int, size: int, fragments: int, key_fragments: int
) -> Pattern:
    """H.264 with a key frame every two seconds."""
    assert _H264 is not None
    every = 2 * fps
    packets = (fragments * (every - 1) + key_fragments) / every * fps
    form = StreamFormat(
        payload_type=_H264.payload_type,
        clock_rate=_H264.clock_rate,
        bitrate=round(packets * size * 8),
        width=width,
        height=height,
        fps=fps,
    )
    return Pattern(
        StreamKind.VIDEO, form, size, 1 / fps, fragments, key_fragments, every
    )


#: By name.  720p: 157.5 packets/s, 1.4 Mbit/s.
VIDEO = {
    "360p": _video(640, 360, 15, 1000, 3, 12),
    "720p": _video(1280, 720, 30, 1100, 5, 20),
    "1080p": _video(1920, 1080, 30, 1180, 10, 40),
}
