"""Which sender and receiver there are: native ones, or their Python twins.

Native ones where they were compiled when the package was installed, unless
ANYCHAT_PURE=1 says otherwise.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anychat.load.portable import Receiver, Sender

__all__ = ["NATIVE", "Receiver", "Sender"]


def _load() -> tuple[bool, object]:
    if os.environ.get("ANYCHAT_PURE") != "1":
        try:
            return True, import_module("anychat.load._wire")
        except ImportError:
            pass
    return False, import_module("anychat.load.portable")


NATIVE, _module = _load()
if not TYPE_CHECKING:
    Receiver, Sender = _module.Receiver, _module.Sender
