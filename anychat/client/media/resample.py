"""Sound of any form in, of one form out."""

import av


class Resampler:
    """Converts samples; what comes in may change its form at any time.

    :param frame_size: samples in each frame that comes out; None: as they come.
    """

    def __init__(
        self, form: str, layout: str, rate: int, frame_size: int | None = None
    ):
        self._arguments = form, layout, rate, frame_size
        self._resampler = av.AudioResampler(*self._arguments)
        self._input: tuple[str, str, int] | None = None

    def resample(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """Convert a frame; some samples may stay until the next one."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._input:
            # What was left, less than one frame, is let go.
            if self._input is not None:
                self._resampler = av.AudioResampler(*self._arguments)
            self._input = form
        return self._resampler.resample(frame)
