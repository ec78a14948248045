"""The UKey binding: a USB key is plugged in and answers a challenge.

Everything here blocks and belongs into a thread.  The bus is reached through
libusb 1.0, which pyusb loads.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import usb.core
import usb.util
from cryptography.hazmat.primitives.asymmetric import ec
from usb.backend import libusb1

from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError
from anychat.licensing.findings import Finding
from anychat.licensing.licence import UKeyBinding
from anychat.licensing.ukey_wire import (
    FROM_ANY_DEVICE,
    FROM_KEY,
    GET_DESCRIPTOR,
    INFO_SIZE,
    LONGEST_STRING,
    NONCE_SIZE,
    POINT_SIZE,
    SIGNATURE_SIZE,
    STRING,
    TO_KEY,
    VERSION,
    Request,
    State,
    parse_info,
    parse_languages,
    parse_state,
    parse_string,
    read_point,
    verifies,
)

#: Seconds for all keys together.  An 8-bit microcontroller takes some for a
#: signature, a bigger one a fraction of one.
TIMEOUT = 10.0
#: Devices of the same vendor and product that are looked at.
MOST_DEVICES = 16

#: Seconds that a single transfer may take.
_TRANSFER_TIMEOUT = 1.0
#: Pause before a key is asked again how far it is, and the longest one.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2

_NO_LIBRARY = (
    "the library libusb-1.0 cannot be used: install it (package libusb-1.0-0), and "
    "let the service open AF_NETLINK sockets, as etc/anychat.service does"
)
_NO_PERMISSION = (
    "a UKey is plugged in, but this user may not use it: run etc/installukey.sh as root"
)


class UKeyTrouble(AnyChatError):
    """A key cannot be asked, or does not answer as one should."""

    def __init__(self, code: ResultCode, text: str, *, passing: bool = False) -> None:
        super().__init__(f"{text}.(errorcode={code:d})")
        self.code = code
        self.text = text
        self.passing = passing


@dataclass(frozen=True, slots=True)
class _Time:
    """The time that is left."""

    seconds: Callable[[], float]
    sleep: Callable[[float], object]
    end: float

    def left(self) -> float:
        """Seconds until the end.

        :raises UKeyTrouble: none.
        """
        left = self.end - self.seconds()
        if left <= 0:
            raise UKeyTrouble(
                ResultCode.CERTFILE_UKEYREADERR,
                "the UKey does not finish its answer",
                passing=True,
            )
        return left


class _Key:
    """A device that may be a UKey."""

    def __init__(self, device: Any, time_left: _Time) -> None:
        self._device = device
        self._time = time_left

    def serial(self) -> str:
        """Its serial number; empty: it has none."""
        index = self._device.iSerialNumber
        if not index:
            return ""
        language = parse_languages(self._descriptor(0, 0))
        return parse_string(self._descriptor(index, language))

    def _descriptor(self, index: int, language: int) -> bytes:
        return self._read(
            FROM_ANY_DEVICE,
            GET_DESCRIPTOR,
            STRING << 8 | index,
            language,
            LONGEST_STRING,
        )

    def greet(self) -> None:
        """Makes sure that it is a UKey that can be asked more.

        :raises PeerError: it is not, or not one that this program knows.
        """
        info = parse_info(self._read(FROM_KEY, Request.INFO, 0, 0, INFO_SIZE))
        if info.version != VERSION:
            raise _unfit(f"it speaks version {info.version}, and this server {VERSION}")
        if not info.has_pair:
            raise _unfit("it has not made its pair of keys yet")

    def public_key(self) -> bytes:
        """The key that it says its signatures are of."""
        return self._read(FROM_KEY, Request.PUBLIC_KEY, 0, 0, POINT_SIZE)

    def sign(self, nonce: bytes, number: int) -> bytes:
        """Its signature over a nonce.

        :param number: 16 bits that tell this challenge from other programs'.
        """
        pause = _FIRST_PAUSE
        while True:
            if self._challenge(nonce, number) and self._wait(number):
                return self._read(
                    FROM_KEY, Request.SIGNATURE, number, 0, SIGNATURE_SIZE
                )
            # It is at another program's challenge, or that took this one's place.
            self._time.sleep(min(pause, self._time.left()))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _challenge(self, nonce: bytes, number: int) -> bool:
        """Whether it took the challenge: it takes none while it is at another."""
        try:
            self._device.ctrl_transfer(
                TO_KEY, Request.CHALLENGE, number, 0, nonce, self._transfer_timeout()
            )
        except usb.core.USBError as error:
            if error.errno == errno.EPIPE:
                return False
            raise
        return True

    def _wait(self, number: int) -> bool:
        """Whether the signature is ready; False: the key knows nothing of it."""
        pause = _FIRST_PAUSE
        while True:
            state = parse_state(self._read(FROM_KEY, Request.STATE, number, 0, 1))
            if state is State.FAILED:
                raise _unfit("it says that it cannot sign")
            if state is not State.WORKING:
                return state is State.READY
            self._time.sleep(min(pause, self._time.left()))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _read(
        self, request_type: int, request: int, value: int, index: int, size: int
    ) -> bytes:
        answer = self._device.ctrl_transfer(
            request_type, request, value, index, size, self._transfer_timeout()
        )
        return bytes(answer)

    def _transfer_timeout(self) -> int:
        """In milliseconds, and never 0, which would be none."""
        return max(1, round(1000 * min(self._time.left(), _TRANSFER_TIMEOUT)))


#: A key signs for one at a time, and `_bus` wants no other's devices to be about:
#: whoever holds this has them in a function of its own, which ends before.
_alone = threading.Lock()


def check_ukey(
    binding: UKeyBinding,
    backend: Any = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
    timeout: float = TIMEOUT,
    seconds: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Finding:
    """Whether the key of this binding is plugged in.

    :param backend: pyusb's; None: libusb 1.0.
    :param timeout: seconds for all of it.
    """
    try:
        public_key = read_point(bytes.fromhex(binding.public_key))
    except ValueError as error:
        return _finding(
            ResultCode.CERTFILE_UKEYFAIL,
            f"the licence's public key of the UKey is none of P-256 ({error})",
        )
    with _alone:
        time_left = _Time(seconds, sleep, seconds() + timeout)
        return _check_devices(binding, public_key, backend, random_bytes, time_left)


def _check_devices(
    binding: UKeyBinding,
    public_key: ec.EllipticCurvePublicKey,
    backend: Any,
    random_bytes: Callable[[int], bytes],
    time_left: _Time,
) -> Finding:
    try:
        devices = _devices(binding.vendor, binding.product, _bus(backend))
    except UKeyTrouble as trouble:
        return _finding(trouble.code, trouble.text, passing=trouble.passing)
    findings = []
    for device in devices:
        with _closing(device):
            rank, found = _check_device(
                _Key(device, time_left), binding.serial, public_key, random_bytes
            )
        if found.ok:
            return found
        findings.append((rank, found))
    if not findings:
        return _finding(
            ResultCode.CERTFILE_UKEYNOTFOUND,
            "no UKey of the licence's vendor and product is plugged in "
            f"({binding.vendor:04x}:{binding.product:04x})",
        )
    return min(findings, key=lambda ranked: ranked[0])[1]


#: What to tell of several keys none of which will do: of the one with the right
#: serial number, else of the one that may be it, else that there are only others.
_RIGHT, _UNKNOWN, _OTHER = range(3)


def _check_device(
    key: _Key,
    serial: str,
    public_key: ec.EllipticCurvePublicKey,
    random_bytes: Callable[[int], bytes],
) -> tuple[int, Finding]:
    rank = _UNKNOWN
    try:
        with _told():
            if key.serial() != serial:
                return _OTHER, _finding(
                    ResultCode.CERTFILE_UKEYNOTMATCH,
                    "another UKey than the licence's is plugged in (by serial number)",
                )
            rank = _RIGHT
            key.greet()
            nonce, number = random_bytes(NONCE_SIZE), random_bytes(2)
            signature = key.sign(nonce, int.from_bytes(number, "big"))
            if not verifies(public_key, nonce, signature):
                return rank, _finding(
                    ResultCode.CERTFILE_UKEYNOTMATCH,
                    "a UKey with the licence's serial number is plugged in, but it "
                    "is another one: its signature is of another key",
                )
    except UKeyTrouble as trouble:
        return rank, _finding(trouble.code, trouble.text, passing=trouble.passing)
    return rank, _finding(ResultCode.SUCCESS, "the UKey is plugged in and answers")


def read_ukeys(
    vendor: int,
    product: int,
    backend: Any = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
    timeout: float = TIMEOUT,
    seconds: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[UKeyBinding]:
    """The keys that are plugged in, as a licence binds to them.

    For the vendor, who writes their public keys into licences; each one has to
    sign first, so that no licence goes out for a key that does not work.

    :raises UKeyTrouble: one of them does not answer as it should.
    """
    with _alone:
        time_left = _Time(seconds, sleep, seconds() + timeout)
        return _read_devices(vendor, product, backend, random_bytes, time_left)


def _read_devices(
    vendor: int,
    product: int,
    backend: Any,
    random_bytes: Callable[[int], bytes],
    time_left: _Time,
) -> list[UKeyBinding]:
    found = []
    for device in _devices(vendor, product, _bus(backend)):
        with _closing(device), _told():
            serial, public_key = _read_device(_Key(device, time_left), random_bytes)
        found.append(UKeyBinding(vendor, product, serial, public_key.hex()))
    return found


def _read_device(key: _Key, random_bytes: Callable[[int], bytes]) -> tuple[str, bytes]:
    """Its serial number and the public key that it has proved to be its own."""
    serial = key.serial()
    if not serial:
        raise _unfit("it has no serial number")
    key.greet()
    encoded = key.public_key()
    try:
        public_key = read_point(encoded)
    except ValueError as error:
        raise _unfit(f"its public key is none of P-256 ({error})") from None
    nonce, number = random_bytes(NONCE_SIZE), random_bytes(2)
    signature = key.sign(nonce, int.from_bytes(number, "big"))
    if not verifies(public_key, nonce, signature):
        raise _unfit("its signature is not of the key that it shows")
    return serial, encoded


def _unfit(reason: str) -> PeerError:
    return PeerError(reason, ResultCode.CERTFILE_UKEYSIGFAIL)


def _finding(code: ResultCode, text: str, *, passing: bool = False) -> Finding:
    return Finding(code, "ukey", text, passing)


def _bus(backend: Any) -> Any:
    """What leads to the devices.

    libusb 1.0 and none else of pyusb's: the others do not tell missing permission
    from other trouble.  A context of it knows what was plugged in when it was made
    and what it has heard of since, which in a container is nothing, so there is a
    new one each time.

    :raises UKeyTrouble: there is no libusb.
    """
    if backend is None:
        libusb1._lib_object = None
        backend = libusb1.get_backend()
        if backend is None:
            raise UKeyTrouble(ResultCode.CERTFILE_UKEYDLLFAIL, _NO_LIBRARY)
    return backend


def _devices(vendor: int, product: int, backend: Any) -> list[Any]:
    """The devices of that vendor and product.

    :raises UKeyTrouble: the bus cannot be looked at.
    """
    with _told():
        found = usb.core.find(
            find_all=True, backend=backend, idVendor=vendor, idProduct=product
        )
        devices = list(islice(found, MOST_DEVICES))
    return devices


@contextmanager
def _closing(device: Any) -> Iterator[None]:
    """Gives the device back, whatever it has come to."""
    try:
        yield
    finally:
        with suppress(usb.core.USBError):
            usb.util.dispose_resources(device)


@contextmanager
def _told() -> Iterator[None]:
    """Tells in one kind of error what may go wrong with a key."""
    try:
        yield
    except PeerError as error:
        raise UKeyTrouble(
            error.code, f"what is plugged in is no UKey that will do: {error.reason}"
        ) from None
    except usb.core.USBError as error:
        raise _usb_trouble(error) from None


def _usb_trouble(error: usb.core.USBError) -> UKeyTrouble:
    """What it means to whoever has to put it right."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return UKeyTrouble(ResultCode.CERTFILE_UKEYREADERR, _NO_PERMISSION)
    if error.errno == errno.EPIPE:
        return UKeyTrouble(
            ResultCode.CERTFILE_UKEYSIGFAIL,
            "what is plugged in is no UKey that will do: it refuses what it is asked",
        )
    if error.errno in (errno.ENODEV, errno.ENOENT):
        text = "the UKey was pulled out while it was asked"
    elif error.errno == errno.ETIMEDOUT:
        text = "the UKey does not answer"
    elif error.errno == errno.EBUSY:
        text = "the UKey is in use by another program"
    else:
        text = f"the UKey cannot be read: {error.strerror or error}"
    return UKeyTrouble(ResultCode.CERTFILE_UKEYREADERR, text, passing=True)
