"""Where a server is, as people write it."""

import re

#: The signalling port of a server that was not told otherwise.
DEFAULT_PORT = 8906


def parse_address(text: str, default: int = DEFAULT_PORT) -> tuple[str, int]:
    """Host and port of ``HOST``, ``HOST:PORT``, ``::1`` or ``[::1]:PORT``.

    :raises ValueError: it is none of these.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(text)
        port = rest[1:] if rest else str(default)
    elif text.count(":") > 1:
        host, port = text, str(default)
    else:
        host, colon, port = text.partition(":")
        port = port if colon else str(default)
    if not re.fullmatch(r"[^\s/@\[\]]+", host) or not re.fullmatch(r"\d{1,5}", port):
        raise ValueError(text)
    if not 1 <= int(port) <= 65535:
        raise ValueError(text)
    return host, int(port)
