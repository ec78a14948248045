"""A UKey as ``docs/wire/ukey.md`` describes it, and a bus to plug it into.

`SimulatedKey` does what a key's firmware has to do; `SimulatedBus` is a backend of
pyusb, so that everything above libusb is the real thing.
"""

import errno
from array import array
from collections.abc import Callable
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.task import Clock
from usb.backend import IBackend
from usb.core import USBError, USBTimeoutError

from anychat.licensing.licence import UKeyBinding
from anychat.licensing.ukey_wire import (
    FROM_ANY_DEVICE,
    FROM_KEY,
    GET_DESCRIPTOR,
    NONCE_SIZE,
    PREFIX,
    STRING,
    TO_KEY,
    VERSION,
    Info,
    Request,
    State,
    build_info,
)

#: pid.codes' vendor id, and a product id of it for tests.
VENDOR, PRODUCT = 0x1209, 0x0001
#: Seconds that a signature that nobody fetches keeps other challenges away.
HELD = 2.0
#: Seconds that the light blinks after a challenge.
BLINKING = 90.0

_LANGUAGE = 0x0409
_SERIAL_INDEX = 3


def stalled(*_: object) -> bytes:
    """What the kernel makes of a request that the device does not take."""
    raise USBError("Pipe error", -9, errno.EPIPE)


def gone(*_: object) -> bytes:
    """What the kernel makes of a request to a device that was pulled out."""
    raise USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)


class SimulatedKey:
    """A key, and what may be wrong with it.

    :param clock: what it takes for the time.
    """

    def __init__(self, clock: Clock, serial: str = "UK-0001") -> None:
        self.clock = clock
        self.serial = serial
        self.vendor, self.product = VENDOR, PRODUCT
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.signing_time = 0.15
        self.info = build_info(Info(VERSION, has_pair=True))
        self.asked: list[int] = []
        """Every request so far."""
        self.faults: dict[int, Callable[[int], bytes]] = {}
        """Request -> what is done instead, with its wValue."""
        self.open_fault: USBError | None = None
        """Why it cannot be opened."""
        self.serial_descriptor: bytes | None = None
        """In the place of the right one."""
        self.has_serial = True
        self._number = 0
        self._nonce: bytes | None = None
        self._taken_at = 0.0
        self._fetched = False

    @property
    def public_key(self) -> bytes:
        """The point, uncompressed."""
        return self.private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    @property
    def binding(self) -> UKeyBinding:
        """To this key."""
        return UKeyBinding(
            self.vendor, self.product, self.serial, self.public_key.hex()
        )

    @property
    def blinks(self) -> bool:
        """Whether its light says that it is in use."""
        return (
            self._nonce is not None and self.clock.seconds() < self._taken_at + BLINKING
        )

    def read(self, kind: int, request: int, value: int, index: int) -> bytes:
        """A control transfer from the key."""
        if (kind, request) == (FROM_ANY_DEVICE, GET_DESCRIPTOR):
            return self._descriptor(value, index)
        if kind != FROM_KEY:
            return stalled()
        self.asked.append(request)
        if request in self.faults:
            return self.faults[request](value)
        if request == Request.INFO:
            return self.info
        if request == Request.PUBLIC_KEY:
            return self.public_key
        if request == Request.STATE:
            return bytes([self._state(value)])
        if request == Request.SIGNATURE and self._state(value) == State.READY:
            self._fetched = True
            return self.sign(self._nonce)
        return stalled()

    def write(self, kind: int, request: int, value: int, data: bytes) -> None:
        """A control transfer to the key."""
        if kind != TO_KEY or request != Request.CHALLENGE or len(data) != NONCE_SIZE:
            stalled()
        self.asked.append(request)
        if request in self.faults:
            self.faults[request](value)
        if self._busy():
            stalled()
        self._number, self._nonce = value, data
        self._taken_at, self._fetched = self.clock.seconds(), False

    def sign(self, nonce: bytes) -> bytes:
        """The two numbers of a signature."""
        signature = self.private_key.sign(PREFIX + nonce, ec.ECDSA(SHA256()))
        r, s = decode_dss_signature(signature)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _state(self, number: int) -> State:
        if self._nonce is None or number != self._number:
            return State.UNKNOWN
        if self.clock.seconds() < self._taken_at + self.signing_time:
            return State.WORKING
        return State.READY

    def _busy(self) -> bool:
        """Whether it is at a challenge, or holds a signature for who has asked."""
        if self._nonce is None or self._fetched:
            return False
        return self.clock.seconds() < self._taken_at + self.signing_time + HELD

    def _descriptor(self, value: int, language: int) -> bytes:
        if value >> 8 != STRING:
            return stalled()
        if value & 0xFF == 0:
            return bytes([4, STRING]) + _LANGUAGE.to_bytes(2, "little")
        if value & 0xFF != _SERIAL_INDEX or language != _LANGUAGE:
            return stalled()
        if self.serial_descriptor is not None:
            return self.serial_descriptor
        text = self.serial.encode("utf-16-le")
        return bytes([2 + len(text), STRING]) + text


class SimulatedBus(IBackend):
    """What is plugged in."""

    def __init__(self, clock: Clock, *keys: SimulatedKey) -> None:
        self.clock = clock
        self.keys = list(keys)
        self.opened: list[SimulatedKey] = []
        """Those that somebody holds open."""
        self.fault: USBError | None = None
        """Why the bus cannot be looked at."""

    def enumerate_devices(self):
        """See pyusb, like all below."""
        if self.fault is not None:
            raise self.fault
        return iter(list(self.keys))

    def get_device_descriptor(self, dev):
        return SimpleNamespace(
            bLength=18,
            bDescriptorType=1,
            bcdUSB=0x0200,
            bDeviceClass=0xFF,
            bDeviceSubClass=0,
            bDeviceProtocol=0,
            bMaxPacketSize0=8,
            idVendor=dev.vendor,
            idProduct=dev.product,
            bcdDevice=0x0100,
            iManufacturer=1,
            iProduct=2,
            iSerialNumber=_SERIAL_INDEX if dev.has_serial else 0,
            bNumConfigurations=1,
            address=1 + self.keys.index(dev),
            bus=1,
            port_number=None,
            port_numbers=None,
            speed=None,
        )

    def open_device(self, dev):
        if dev.open_fault is not None:
            raise dev.open_fault
        self.opened.append(dev)
        return dev

    def close_device(self, dev_handle):
        self.opened.remove(dev_handle)

    def ctrl_transfer(
        self, dev_handle, bmRequestType, bRequest, wValue, wIndex, data, timeout
    ):
        if dev_handle not in self.keys:
            gone()
        if not bmRequestType & 0x80:
            dev_handle.write(bmRequestType, bRequest, wValue, data.tobytes())
            return len(data)
        answer = dev_handle.read(bmRequestType, bRequest, wValue, wIndex)
        if answer is None:
            self.clock.advance(timeout / 1000)
            raise USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
        answer = answer[: len(data)]
        data[: len(answer)] = array("B", answer)
        return len(answer)
