"""What the uplink takes, and what each video that is published gets of it.

The server tells when the packets of our videos came (RFC 8888); with when they
were sent that gives an estimate (`anychat.media.estimate`).  Where it is less
than what the videos are set to, the smaller layers keep theirs, since they are
what reaches the most, and the full pictures share the rest in proportion.  A full
picture whose share would be too little is left out, if it has a smaller layer; one
without gets no less than `LEAST`.  What is left out shows nothing of the uplink,
so it is tried again after `FIRST_WAIT`, and after twice as long each time that it
was too much.

Sound is left alone: it is little, and its loss is what people notice first.
"""

from collections.abc import Callable, Iterable

from anychat.client.media.publication import Departure, Publication
from anychat.codes import StreamKind
from anychat.media.estimate import BandwidthEstimate, Condition, Sample
from anychat.media.rtcp import CongestionFeedback

#: The least bit rate of a picture that is sent.
LEAST = 30_000
#: Share of what a full picture is set to, below which its smaller layer does
#: better alone, and with which it is tried again.
PAUSE_BELOW = 0.20
TRIED_WITH = 0.30
#: Seconds that a full picture is left out, the first time and at most.
FIRST_WAIT = 8.0
LONGEST_WAIT = 60.0
#: The least change that an encoder is told of, as a share.
_STEP = 0.05
#: What packets add to the encoder's bits: headers, tags, parameter sets.
_OVERHEAD = 1.08


class Uplink:
    """Of one media session.

    :param publications: those there are.
    :param seconds: the reactor's clock.
    """

    def __init__(
        self,
        publications: Callable[[], Iterable[Publication]],
        seconds: Callable[[], float],
    ):
        self.estimate = BandwidthEstimate()
        self._publications = publications
        self._seconds = seconds
        self._adaptive = True
        self._clock: tuple[int, float] | None = None
        self._wait = FIRST_WAIT
        self._retry = 0.0
        self._resumed = float("-inf")

    @property
    def adaptive(self) -> bool:
        """Whether encoders follow the uplink (option 228)."""
        return self._adaptive

    @adaptive.setter
    def adaptive(self, adaptive: bool) -> None:
        self._adaptive = adaptive
        self._share()

    def restart(self) -> None:
        """The way to the server is another one."""
        self.estimate = BandwidthEstimate()
        self._clock = None
        self._share()

    def feedback(self, feedback: CongestionFeedback, round_trip: float) -> None:
        """The server has said when packets came."""
        when = self._unwrap(feedback.timestamp)
        by_ssrc = {each.ssrc: each for each in self._publications()}
        samples = []
        for block in feedback.blocks:
            publication = by_ssrc.get(block.ssrc)
            if publication is None:
                continue
            for place, offset in enumerate(block.offsets):
                departure = publication.departure(block.first + place & 0xFFFF)
                if departure is None:
                    continue
                came = None
                if offset is not None:
                    came = when - offset / 1024
                    if self._is_repair(departure, came):
                        # It was lost at first.
                        came = None
                samples.append(Sample(departure.sent, came, departure.size))
        if samples:
            self.estimate.report(samples, self._seconds(), round_trip)
            self._share()

    def _is_repair(self, departure: Departure, came: float) -> bool:
        """Whether what came can be what was sent again."""
        least = self.estimate.least_transit
        if departure.resent is None:
            return False
        return least is None or came - departure.resent >= least

    def _unwrap(self, timestamp: int) -> float:
        """The feedback's time in seconds that do not wrap."""
        when = timestamp / 65536
        if self._clock is not None:
            before, seconds = self._clock
            step = (timestamp - before + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            when = seconds + step / 65536
        self._clock = timestamp, when
        return when

    def _share(self) -> None:
        """Say what each video gets."""
        videos = [
            each for each in self._publications() if each.kind is StreamKind.VIDEO
        ]
        small = {id(each.layer) for each in videos if each.layer is not None}
        full = [each for each in videos if id(each) not in small]
        rate = self.estimate.rate if self._adaptive else None
        if rate is None:
            for each in videos:
                _keep(each, None)
            return
        left = rate / _OVERHEAD
        for each in videos:
            if id(each) in small:
                given = min(each.format.bitrate, max(LEAST, round(left)))
                left -= given
                _keep(each, given)
        wanted = sum(each.format.bitrate for each in full) or 1
        for each in full:
            # In constant quality there is no rate to be a share of.
            most = each.format.bitrate or round(left / len(full))
            given = round(left * most / wanted) if each.format.bitrate else most
            if each.layer is not None:
                given = self._pause(each, most, given)
            if not each.paused:
                _keep(each, max(LEAST, min(most, given)))

    def _pause(self, video: Publication, most: int, given: int) -> int:
        """Leave a full picture out, or try it again; what it gets then."""
        now = self._seconds()
        trial = round(TRIED_WITH * most)
        if not video.paused:
            if given < PAUSE_BELOW * most:
                video.paused = True
                if now - self._resumed < LONGEST_WAIT:
                    self._wait = min(2 * self._wait, LONGEST_WAIT)
                else:
                    self._wait = FIRST_WAIT
                self._retry = now + self._wait
        elif now >= self._retry and self.estimate.condition is Condition.CALM:
            video.paused = False
            self._resumed = now
            extra = max(0, trial - given)
            assert self.estimate.rate is not None
            self.estimate.proved(self.estimate.rate + extra * _OVERHEAD)
            return max(given, trial)
        return given


def _keep(video: Publication, bitrate: int | None) -> None:
    if bitrate is None:
        video.paused = False
        video.bitrate = None
    elif bitrate == video.format.bitrate:
        video.bitrate = None
    elif video.bitrate is None or abs(bitrate - video.bitrate) >= _STEP * video.bitrate:
        video.bitrate = bitrate
