"""Whole frames in, pictures and samples out: the decoders of a reception.

A decoder is for one thread at a time.  What it is given comes from another
member of the room, so it may be anything: every refusal, the unpacking's
included, is a `PeerError`.  Frames carry the RTP timestamp they came under,
counted on endlessly, as their ``pts``, and the RTP clock as ``time_base``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
from av.codec.context import Flags

from anychat.client.media.jitter import Frame
from anychat.codecs import by_payload_type
from anychat.codes import AudioCodec, ResultCode, StreamKind, VideoCodec
from anychat.errors import PeerError, Refused
from anychat.media.packetize import audio, h264
from anychat.messages import StreamFormat

#: Largest picture that is decoded, pixels.
MAX_PIXELS = 4096 * 2304

#: FFmpeg's names of the decoders.
_AUDIO_DECODERS = {
    AudioCodec.OPUS: "opus",
    AudioCodec.AAC: "aac",
    AudioCodec.AMR_WB: "amrwb",
    AudioCodec.PCMU: "pcm_mulaw",
    AudioCodec.PCMA: "pcm_alaw",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of one frame."""

    timestamp: int
    """As in `Frame`."""
    frames: Sequence[av.VideoFrame | av.AudioFrame]
    unit: bytes = b""
    """The access unit in Annex B form; video only."""
    key: bool = False
    """Whether the access unit is an IDR picture."""


class Decoder(Protocol):
    """Turns frames of one stream into pictures or samples."""

    def decode(self, frame: Frame) -> Decoded:
        """Decode one frame; `PeerError` if it cannot be."""


def make_decoder(kind: StreamKind, form: StreamFormat) -> Decoder:
    """The decoder for a stream.

    :raise Refused: 80 UNSUPPORTCODEC.
    """
    codec = by_payload_type(form.payload_type)
    if codec is not None and codec.kind is kind:
        number = codec.number
        if number is VideoCodec.H264:
            return VideoDecoder(form)
        if isinstance(number, AudioCodec) and number in _AUDIO_DECODERS:
            return AudioDecoder(number, form)
    raise Refused(ResultCode.UNSUPPORTCODEC)


class VideoDecoder:
    """H.264, one thread, no delay."""

    def __init__(self, form: StreamFormat):
        context = av.CodecContext.create("h264", "r")
        context.thread_count = 1
        # Every picture at once: there are no B-frames to wait for.
        context.flags |= Flags.low_delay
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._context = context
        self._time_base = Fraction(1, form.clock_rate)

    def decode(self, frame: Frame) -> Decoded:
        """See `Decoder`."""
        units = h264.depacketize(frame.payloads)
        access_unit = h264.join(units)
        packet = av.Packet(access_unit)
        packet.pts = packet.dts = frame.timestamp
        packet.time_base = self._time_base
        try:
            pictures = self._context.decode(packet)
        except av.FFmpegError as error:
            raise PeerError(f"H.264: {error.strerror}") from error
        if any(picture.is_corrupt for picture in pictures):
            raise PeerError("H.264: picture damaged")
        for picture in pictures:
            picture.time_base = self._time_base
        return Decoded(frame.timestamp, pictures, access_unit, h264.is_key(units))


class AudioDecoder:
    """Opus, AAC, AMR-WB or G.711."""

    def __init__(self, number: AudioCodec, form: StreamFormat):
        context: Any = av.CodecContext.create(_AUDIO_DECODERS[number], "r")
        context.thread_count = 1
        if number is AudioCodec.AAC:
            context.extradata = form.config
        else:
            context.sample_rate = form.clock_rate
            stereo = number is AudioCodec.OPUS and form.channels != 1
            context.layout = "stereo" if stereo else "mono"
        self._context = context
        self._number = number
        self._time_base = Fraction(1, form.clock_rate)

    def decode(self, frame: Frame) -> Decoded:
        """See `Decoder`."""
        sounds: list[av.AudioFrame] = []
        timestamp = frame.timestamp
        for data in self._unpack(frame.payloads):
            packet = av.Packet(data)
            packet.pts = packet.dts = timestamp
            packet.time_base = self._time_base
            try:
                pieces = self._context.decode(packet)
            except av.FFmpegError as error:
                raise PeerError(f"{self._number.name}: {error.strerror}") from error
            for piece in pieces:
                piece.pts = timestamp
                piece.time_base = self._time_base
                seconds = Fraction(piece.samples, piece.sample_rate)
                timestamp += round(seconds / self._time_base)
            sounds += pieces
        return Decoded(frame.timestamp, sounds)

    def _unpack(self, payloads: Iterable[bytes]) -> list[bytes]:
        units: list[bytes] = []
        for payload in payloads:
            if not payload:
                raise PeerError("audio payload empty")
            if self._number is AudioCodec.AAC:
                units += audio.unpack_aac(payload)
            elif self._number is AudioCodec.AMR_WB:
                units += audio.unpack_amr_wb(payload)
            else:
                units.append(payload)
        return units
