"""Texts of compiled plug-ins, whose authors write UTF-8 or GBK."""


def text_of(buffer: bytes) -> str:
    """What a plug-in wrote into a buffer, in UTF-8 or else in GBK.

    Up to the first NUL, or the buffer's end where the plug-in wrote none.
    """
    data = buffer.partition(b"\0")[0]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        full = len(data) >= len(buffer) - 1
        if full and error.reason == "unexpected end of data":
            return data[: error.start].decode("utf-8")  # it did not fit whole
    # GB 18030 is GBK with all of Unicode.
    return data.decode("gb18030", "replace")


def cut(text: str, maximum: int) -> str:
    """A text of at most so many bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:maximum].decode("utf-8", "ignore")
