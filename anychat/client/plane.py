"""The one place that loads the media plane, and FFmpeg with it.

Programs that only signal never come here and need no PyAV.
"""

from collections.abc import Callable
from typing import Any

from anychat.codes import ResultCode
from anychat.errors import Refused


def _missing(error: ImportError) -> Refused:
    return Refused(
        ResultCode.WARNING_MEDIACOREFAIL, f"media needs PyAV and numpy: {error}"
    )


def media_session(
    reactor: Any,
    log: Callable[[str], None],
    on_udp: Callable[[bool, float | None], None],
    random_bytes: Callable[[int], bytes],
) -> Any:
    """A `MediaSession`; `Refused` 783 where the libraries are missing."""
    try:
        from anychat.client.media.session import MediaSession
    except ImportError as error:
        raise _missing(error) from error
    return MediaSession(reactor, log, on_udp, random_bytes)


def open_source(text: str) -> Any:
    """Open a file, a device or ``test:``; blocks as long as that takes.

    :raises ValueError: the text cannot be understood.
    :raises OSError: the file or device cannot be opened.
    """
    try:
        from anychat.client.media.source import open_source
    except ImportError as error:
        raise _missing(error) from error
    return open_source(text)


def mp4_sink(path: str) -> Any:
    """A sink that writes an MP4."""
    try:
        from anychat.client.media.sinks import Mp4Sink
    except ImportError as error:
        raise _missing(error) from error
    return Mp4Sink(path)
