"""As much of DER (ITU-T X.690) as a licence and an encrypted key are made of.

Certificates themselves are the business of `cryptography`; this is for the one
string in our extension and for the envelope of a key.
"""

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
UTF8_STRING = 0x0C
SEQUENCE = 0x30


def encode_der(tag: int, *contents: bytes) -> bytes:
    """A value: its tag, its length in the shortest form, its contents."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def encode_integer(number: int) -> bytes:
    """A whole number, not below 0."""
    return encode_der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def decode_der(tag: int, data: bytes) -> bytes:
    """The contents of a value that is all of the data.

    :raises ValueError: it is another value, is cut off, goes on after its end, or
        its length is not in the shortest form.
    """
    if len(data) < 2 or data[0] != tag:
        raise ValueError(f"no DER value with tag {tag:#04x}")
    start = 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)
    content = data[start:]
    # Whatever does not come out the same was not DER.
    if encode_der(tag, content) != data:
        raise ValueError("the length of a DER value is wrong")
    return content
