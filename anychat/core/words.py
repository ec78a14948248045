"""32-bit words."""


def signed(word: int) -> int:
    """32 bits as AnyChat's int: business servers may write them either way."""
    return word - 2**32 if word >= 2**31 else word
