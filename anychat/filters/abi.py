"""The C interface of compiled plug-ins, called with ctypes.

Only the host process (`anychat.filters.host`) loads this module: whatever a
plug-in does wrong ends that process alone.  The interface is that of SDK Filter
Plus for Linux: cdecl, DWORD is uint32, BOOL is int32.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anychat.business_messages import MAX_BUFFER
from anychat.filters import elf
from anychat.filters.hooks import (
    EXPORT_PREFIX,
    HOOKS,
    KINDS,
    Hook,
    Kind,
)
from anychat.filters.host_wire import MAX_NICKNAME, MAX_VERSION
from anychat.filters.texts import cut, text_of

#: Bytes behind every buffer that a plug-in writes to, for those that overlook
#: how much room there is.
_SLACK = 4096

_NUMBER = ctypes.c_uint32
_STRING = ctypes.c_char_p

_TYPES: dict[Kind, tuple[Any, ...]] = {
    Kind.NUMBER: (_NUMBER,),
    Kind.FLAG: (ctypes.c_int32,),
    Kind.STRING: (_STRING,),
    Kind.BUFFER: (_STRING, _NUMBER),
}

_SEND_CALLBACK = ctypes.CFUNCTYPE(
    None, _NUMBER, _NUMBER, ctypes.c_void_p, _NUMBER, ctypes.c_void_p
)


class LoadError(Exception):
    """The library cannot be used as a plug-in; the text says why."""


class Library:
    """A plug-in in this process.

    :param send: takes what the plug-in sends: user id, handle, data; in
        whatever thread the plug-in does it.
    :param refuse: takes the length of what cannot be sent.
    :raises LoadError: there is no such plug-in.
    """

    def __init__(
        self,
        path: Path,
        send: Callable[[int, int, bytes], None],
        refuse: Callable[[int], None],
    ) -> None:
        self._library = _open(path)
        self._send = send
        self._refuse = refuse
        # ctypes must not lose it while the plug-in has it.
        self._callback = _SEND_CALLBACK(self._take)
        self._functions = {
            hook: function
            for hook in HOOKS
            if (function := self._export(hook.export)) is not None
        }
        if not self._functions:
            raise LoadError(f"it exports no hook ({HOOKS[0].export} and so on)")
        for hook, function in self._functions.items():
            types = [kind for name in hook.arguments for kind in _TYPES[KINDS[name]]]
            if hook.name == "verify_user":
                number = ctypes.POINTER(_NUMBER)
                types += [number, number, ctypes.c_void_p, _NUMBER]
            function.argtypes = types
            function.restype = _NUMBER if hook.asks else None

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """What the plug-in has."""
        return tuple(self._functions)

    def version(self) -> str:
        """What it says of itself; empty where it says nothing."""
        function = self._export(f"{EXPORT_PREFIX}GetVersion")
        if function is None:
            return ""
        function.argtypes = [ctypes.c_void_p, _NUMBER]
        function.restype = None
        capacity = MAX_VERSION // 4
        buffer = ctypes.create_string_buffer(capacity + _SLACK)
        function(buffer, capacity)
        return cut(text_of(buffer.raw[:capacity]), MAX_VERSION)

    def init(self) -> bool:
        """Let it begin; False: it does not want to."""
        function = self._export(f"{EXPORT_PREFIX}InitFilter")
        if function is None:
            return True
        function.argtypes = [_SEND_CALLBACK, ctypes.c_void_p]
        function.restype = ctypes.c_int32
        return bool(function(self._callback, None))

    def release(self) -> None:
        """Let it end."""
        function = self._export(f"{EXPORT_PREFIX}ReleaseFilter")
        if function is not None:
            function.argtypes = []
            function.restype = None
            function()

    def call(self, hook: Hook, values: Sequence[int | bytes]) -> dict[str, int | str]:
        """Call a hook; what it gave."""
        arguments: list[Any] = []
        for name, value in zip(hook.arguments, values, strict=True):
            if isinstance(value, int):
                arguments.append(value)
                continue
            # A copy, since there are plug-ins that write to what is const.
            arguments.append(ctypes.create_string_buffer(value))
            if KINDS[name] is Kind.BUFFER:
                arguments.append(len(value))
        if hook.name == "verify_user":
            return self._verify(self._functions[hook], arguments)
        code = self._functions[hook](*arguments)
        return {"code": code} if hook.asks else {}

    def _verify(
        self, function: Callable[..., int], arguments: list[Any]
    ) -> dict[str, int | str]:
        user_id, level = _NUMBER(0), _NUMBER(0)
        nickname = ctypes.create_string_buffer(MAX_NICKNAME + _SLACK)
        code = function(
            *arguments,
            ctypes.byref(user_id),
            ctypes.byref(level),
            nickname,
            MAX_NICKNAME,
        )
        return {
            "code": code,
            "user_id": user_id.value,
            "level": level.value,
            "nickname": cut(text_of(nickname.raw[:MAX_NICKNAME]), MAX_NICKNAME),
        }

    def _export(self, name: str) -> Any:
        try:
            return self._library[name]
        except AttributeError:
            return None

    def _take(
        self,
        user_id: int,
        handle: int,
        buffer: int | None,
        length: int,
        user_value: int | None,
    ) -> None:
        """The send callback."""
        if buffer is None or not 0 < length <= MAX_BUFFER:
            self._refuse(0 if buffer is None else length)
        else:
            self._send(user_id, handle, ctypes.string_at(buffer, length))


def _open(path: Path) -> ctypes.CDLL:
    try:
        with path.open("rb") as file, open(sys.executable, "rb") as own:
            fault = elf.fault(file.read(elf.HEADER_SIZE), own.read(elf.HEADER_SIZE))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from error
    if fault is not None:
        raise LoadError(f"{path}: {fault}")
    try:
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise LoadError(str(error)) from error
