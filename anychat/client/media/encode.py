"""Raw frames in, coded units out: the encoders of a publication.

Video is H.264 as wire.md wants it: constrained baseline, no B-frames, one slice
and one thread (so that what comes out depends on what goes in alone), parameter
sets before every key frame.  Audio is Opus or AAC, or G.711.

An encoder is for one thread at a time.  Times are seconds on the source's time
line; timestamps are counted in the stream's RTP clock from the same zero.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
from av.video.frame import PictureType

from anychat import codecs
from anychat.client.media.resample import Resampler
from anychat.codecs import Codec
from anychat.codes import AudioCodec, ResultCode, StreamKind, VideoCodec
from anychat.errors import Refused
from anychat.messages import ServerParameters, StreamFormat

#: Milliseconds in one packet of Opus or G.711.
PACKET_MS = 20

#: VideoPreset 1 to 5 (manual 3.4): more work, finer detail.
_PRESETS = {1: "ultrafast", 2: "superfast", 3: "veryfast", 4: "faster", 5: "medium"}
#: VideoQuality 1 to 5 as constant rate factor, where no bit rate is set.
_RATE_FACTORS = {1: 35, 2: 31, 3: 27, 4: 23, 5: 19}
#: VideoQuality as bounds of the quantizer, where a bit rate is set: low quality
#: saves bits on easy pictures, high quality spends them on difficult ones.
_QUANTIZERS = {1: (26, 51), 2: (20, 51), 3: (10, 51), 4: (10, 46), 5: (10, 42)}
#: Share of the bit rate that was set below which every second frame is left out.
_HALF_RATE = 0.4
#: Sample rates that Opus takes.
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
#: FFmpeg's names of the encoders, and the sample format each takes.
_AUDIO_ENCODERS = {
    AudioCodec.OPUS: ("libopus", "s16"),
    AudioCodec.AAC: ("aac", "fltp"),
    AudioCodec.PCMU: ("pcm_mulaw", "s16"),
    AudioCodec.PCMA: ("pcm_alaw", "s16"),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit: what one RTP timestamp stands for."""

    data: bytes
    timestamp: int
    """RTP clock from the source's zero; below zero for an encoder's run-in."""
    key: bool


#: Bits a second below which x264 opens no encoder, and what all others of sound
#: take: a server's or program's strange wish is no reason to be silent.
_LEAST_VIDEO_BITRATE = 1000
_AUDIO_BITRATES = 6000, 256_000


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a picture is encoded."""

    width: int
    height: int
    fps: Fraction
    """Most frames per second; more than that are left out."""
    gop: int
    """Frames from one key frame to the next."""
    bitrate: int
    """Bits per second; 0: constant quality."""
    quality: int
    preset: int

    @property
    def codec(self) -> Codec:
        """H.264, always."""
        return _codec(StreamKind.VIDEO, VideoCodec.H264)

    def stream_format(self) -> StreamFormat:
        """What watchers are told."""
        return StreamFormat(
            payload_type=self.codec.payload_type,
            clock_rate=self.codec.clock_rate,
            bitrate=self.bitrate,
            width=self.width,
            height=self.height,
            fps=round(self.fps),
        )


@dataclass(frozen=True, slots=True)
class AudioSettings:
    """How sound is encoded."""

    codec: Codec
    sample_rate: int
    channels: int
    bitrate: int
    """Bits per second."""

    def stream_format(self) -> StreamFormat:
        """What watchers are told."""
        return StreamFormat(
            payload_type=self.codec.payload_type,
            clock_rate=self.clock_rate,
            bitrate=self.bitrate,
            channels=self.channels,
            config=AudioEncoder(self).config,
        )

    @property
    def clock_rate(self) -> int:
        """RTP clock, Hz; AAC's is its sample rate."""
        if self.codec.number is AudioCodec.AAC:
            return self.sample_rate
        return self.codec.clock_rate


def _codec(kind: StreamKind, number: int) -> Codec:
    codec = codecs.by_number(kind, number)
    if codec is None:
        raise Refused(ResultCode.UNSUPPORTCODEC)
    return codec


def video_settings(
    parameters: ServerParameters, width: int, height: int, fps: Fraction
) -> VideoSettings:
    """Settings for pictures of that size and rate.

    The picture is made to fit the parameters' size with its shape kept, and
    never enlarged; nor does it get more frames than it has.

    :raise Refused: 80 UNSUPPORTCODEC, the parameters ask for another codec.
    """
    if parameters.video_codec != VideoCodec.H264:
        raise Refused(ResultCode.UNSUPPORTCODEC)
    scale = min(
        Fraction(1),
        Fraction(parameters.video_width, width),
        Fraction(parameters.video_height, height),
    )
    return VideoSettings(
        # Chroma is halved both ways, so both sides must be even.
        width=max(2, round(width * scale / 2) * 2),
        height=max(2, round(height * scale / 2) * 2),
        fps=min(fps, Fraction(parameters.video_fps)),
        gop=parameters.video_gop,
        bitrate=parameters.video_bitrate,
        quality=parameters.video_quality,
        preset=parameters.video_preset,
    )


def layer_settings(full: VideoSettings) -> tuple[VideoSettings, VideoSettings]:
    """The full picture and its smaller layer: half each side, a quarter of the
    other's bits, both together what was set."""
    # 0 would be constant quality.
    small = max(full.bitrate // 5, 1) if full.bitrate else 0
    return (
        replace(full, bitrate=max(full.bitrate - small, small)),
        replace(
            full,
            width=max(2, full.width // 4 * 2),
            height=max(2, full.height // 4 * 2),
            bitrate=small,
        ),
    )


def audio_settings(parameters: ServerParameters) -> AudioSettings:
    """Settings for sound; AMR-WB, which nobody encodes here, becomes Opus.

    :raise Refused: 80 UNSUPPORTCODEC, the parameters ask for a codec that
        cannot be published.
    """
    number = parameters.audio_codec
    rate = parameters.audio_sample_rate
    channels = min(max(parameters.audio_channels, 1), 2)
    if number == AudioCodec.AMR_WB:
        number = AudioCodec.OPUS
    codec = _codec(StreamKind.AUDIO, number)
    if number == AudioCodec.OPUS:
        # The next rate up loses nothing of what was asked for.
        rate = next((known for known in _OPUS_RATES if known >= rate), 48000)
    elif number == AudioCodec.AAC:
        if rate not in codec.clock_rates:
            rate = codec.clock_rate
    elif number in _AUDIO_ENCODERS:
        rate, channels = codec.clock_rate, 1
    else:
        raise Refused(ResultCode.UNSUPPORTCODEC)
    least, most = _AUDIO_BITRATES
    bitrate = min(max(parameters.audio_bitrate, least), most)
    return AudioSettings(codec, rate, channels, bitrate)


class VideoEncoder:
    """H.264 by x264."""

    def __init__(self, settings: VideoSettings):
        self.settings = settings
        self._clock_rate = settings.codec.clock_rate
        self._interval = float(1 / settings.fps)
        self._next_time = float("-inf")
        self._last_timestamp = -1
        self._bitrate = settings.bitrate
        self._context = self._open()

    def _open(self) -> Any:
        """x264, set to the present bit rate."""
        settings, bitrate = self.settings, self._bitrate
        self._opened_for = bitrate
        context: Any = av.CodecContext.create("libx264", "w")
        context.width = settings.width
        context.height = settings.height
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self._clock_rate)
        context.framerate = settings.fps
        context.gop_size = settings.gop
        context.max_b_frames = 0
        context.thread_count = 1
        options = {
            "preset": _PRESETS[settings.preset],
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "sc_threshold": "0",
        }
        if bitrate:
            bitrate = max(bitrate, _LEAST_VIDEO_BITRATE)
            low, high = _QUANTIZERS[settings.quality]
            context.bit_rate = bitrate
            # The buffer bounds how long a key frame takes on a narrow path; with
            # the peak rate at the mean one x264 lets the rate be changed.
            options["maxrate"] = str(bitrate)
            options["bufsize"] = str(bitrate * 2 // 3)
            options["qmin"], options["qmax"] = str(low), str(high)
        else:
            options["crf"] = str(_RATE_FACTORS[settings.quality])
        context.options = options
        context.open()
        return context

    def keep_to(self, bitrate: int | None) -> None:
        """From the next frame on, use no more than that; None: what was set.

        With little of what was set, every second frame is left out: there is a
        picture below which x264 cannot make one worse.
        """
        wanted = self.settings.bitrate if bitrate is None else bitrate
        halved = 0 < wanted < _HALF_RATE * self.settings.bitrate
        self._interval = float(1 / self.settings.fps) * (2 if halved else 1)
        if halved:
            # x264 reckons with all frames.
            wanted *= 2
        if wanted == self._bitrate:
            return
        before, self._bitrate = self._bitrate, wanted
        if before and wanted and wanted <= self._opened_for:
            self._context.bit_rate = wanted
        else:
            # Between constant quality and a bit rate there is no way but a new
            # encoder, which begins with a key frame.
            self._context = self._open()

    def wants(self, time: float) -> bool:
        """Whether the frame of that time is to be encoded.

        A source with more frames per second than wanted has some left out.
        """
        # Frames a little early are taken, or rounding would halve the rate.
        if time < self._next_time - self._interval / 4:
            return False
        behind = time - self._next_time
        on_grid = behind < self._interval
        self._next_time = (self._next_time if on_grid else time) + self._interval
        return True

    def encode(self, frame: av.VideoFrame, time: float, key: bool) -> list[Unit]:
        """Encode a frame, as a key frame if asked to."""
        settings = self.settings
        picture = frame.reformat(settings.width, settings.height, "yuv420p")
        timestamp = max(round(time * self._clock_rate), self._last_timestamp + 1)
        self._last_timestamp = timestamp
        picture.pts = timestamp
        picture.time_base = Fraction(1, self._clock_rate)
        picture.pict_type = PictureType.I if key else PictureType.NONE
        return [
            Unit(bytes(packet), _pts(packet), packet.is_keyframe)
            for packet in self._context.encode(picture)
        ]


class AudioEncoder:
    """Opus, AAC or G.711."""

    def __init__(self, settings: AudioSettings):
        self.settings = settings
        name, sample_format = _AUDIO_ENCODERS[AudioCodec(settings.codec.number)]
        context: Any = av.CodecContext.create(name, "w")
        context.sample_rate = settings.sample_rate
        context.layout = layout = "mono" if settings.channels == 1 else "stereo"
        context.format = sample_format
        context.time_base = Fraction(1, settings.sample_rate)
        if settings.codec.number in (AudioCodec.OPUS, AudioCodec.AAC):
            context.bit_rate = settings.bitrate
        if settings.codec.number is AudioCodec.OPUS:
            context.options = {"frame_duration": str(PACKET_MS), "application": "voip"}
        context.open()
        self._context = context
        self._resampler = Resampler(
            sample_format,
            layout,
            settings.sample_rate,
            context.frame_size or settings.sample_rate * PACKET_MS // 1000,
        )

    @property
    def config(self) -> bytes:
        """What a decoder must be given: AAC's AudioSpecificConfig."""
        if self.settings.codec.number is AudioCodec.AAC:
            return self._context.extradata or b""
        return b""

    def encode(self, frame: av.AudioFrame, time: float) -> list[Unit]:
        """Encode samples; they come out in packets of the codec's own length."""
        rate = frame.sample_rate
        frame.pts = round(time * rate)
        frame.time_base = Fraction(1, rate)
        units = []
        for piece in self._resampler.resample(frame):
            for packet in self._context.encode(piece):
                assert packet.time_base is not None
                seconds = _pts(packet) * packet.time_base
                timestamp = round(seconds * self.settings.clock_rate)
                units.append(Unit(bytes(packet), timestamp, True))
        return units


def _pts(packet: av.Packet) -> int:
    assert packet.pts is not None
    return packet.pts
