"""The UKey binding, against simulated keys at pyusb's backend interface."""

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from usb.backend import libusb1
from usb.core import USBError

from anychat.codes import ResultCode
from anychat.licensing.licence import UKeyBinding
from anychat.licensing.ukey import (
    MOST_DEVICES,
    TIMEOUT,
    UKeyTrouble,
    check_ukey,
    read_ukeys,
)
from anychat.licensing.ukey_wire import VERSION, Info, Request, State, build_info
from test.licensing.simulated_key import (
    BLINKING,
    SimulatedBus,
    SimulatedKey,
    gone,
    stalled,
)


class Numbers:
    """Random bytes that are none, and never the same."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self, size: int) -> bytes:
        self.last += 1
        return bytes([self.last]) * size


class UKeyTestCase(SynchronousTestCase):
    """A key and the bus that it is plugged into."""

    def setUp(self):
        self.clock = Clock()
        self.key = SimulatedKey(self.clock)
        self.bus = SimulatedBus(self.clock, self.key)
        self.random_bytes = Numbers()

    def tearDown(self):
        self.assertEqual(self.bus.opened, [], "given back")

    def check(self, binding=None, timeout=TIMEOUT):
        """What is found about the key."""
        return check_ukey(
            self.key.binding if binding is None else binding,
            self.bus,
            self.random_bytes,
            timeout,
            self.clock.seconds,
            self.clock.advance,
        )

    def assertFound(self, code, words, passing=False, binding=None):
        """The check finds this, and the text says these words."""
        found = self.check(binding)
        self.assertEqual(found.code, code, found.text)
        self.assertEqual(found.subject, "ukey")
        self.assertIn(words, found.text)
        self.assertEqual(found.passing, passing)
        return found


class CheckTests(UKeyTestCase):
    """Whether the key of the licence is there."""

    def test_answers(self):
        """The right key makes the binding good."""
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertEqual(
            [request for request in self.key.asked if request != Request.STATE],
            [Request.INFO, Request.CHALLENGE, Request.SIGNATURE],
        )

    def test_blinks(self):
        """Its light blinks while a server asks it each minute, and no longer."""
        self.assertFalse(self.key.blinks)
        self.check()
        self.clock.advance(60)
        self.assertTrue(self.key.blinks)
        self.check()
        self.clock.advance(BLINKING)
        self.assertFalse(self.key.blinks)

    def test_slow(self):
        """An 8-bit microcontroller has the seconds that it needs."""
        self.key.signing_time = 6.0
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertLess(len(self.key.asked), 50, "asked at a moderate pace")

    def test_atOnce(self):
        """A key that has signed before it is asked how far it is will do."""
        self.key.signing_time = 0.0
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertEqual(self.clock.seconds(), 0.0)

    def test_notPluggedIn(self):
        """831, with what is looked for."""
        self.bus.keys.clear()
        self.assertFound(
            ResultCode.CERTFILE_UKEYNOTFOUND, "1209:0001", binding=self.key.binding
        )

    def test_otherDevices(self):
        """Devices of other vendors are left alone."""
        self.key.vendor = 0x046D
        binding = UKeyBinding(
            0x1209, 0x0001, self.key.serial, self.key.public_key.hex()
        )
        self.assertFound(ResultCode.CERTFILE_UKEYNOTFOUND, "", binding=binding)
        self.assertEqual(self.key.asked, [])

    def test_otherSerial(self):
        """833 for another key of the same make, which is not even asked."""
        other = SimulatedKey(self.clock, "UK-0002").binding
        found = self.assertFound(
            ResultCode.CERTFILE_UKEYNOTMATCH, "by serial number", binding=other
        )
        self.assertEqual(self.key.asked, [])
        self.assertNotIn("UK-", found.text)

    def test_otherPair(self):
        """833 for a key that has the serial number but not the private key."""
        other = SimulatedKey(self.clock).binding
        self.assertFound(
            ResultCode.CERTFILE_UKEYNOTMATCH, "of another key", binding=other
        )

    def test_noSerial(self):
        """A device without a serial number is another one."""
        self.key.has_serial = False
        self.assertFound(ResultCode.CERTFILE_UKEYNOTMATCH, "by serial number")

    def test_freshNonce(self):
        """A key that answers with what it signed before is found out."""
        old = self.key.sign(bytes([1]) * 32)
        self.key.faults[Request.SIGNATURE] = lambda _: old
        self.random_bytes.last = 10
        self.assertFound(ResultCode.CERTFILE_UKEYNOTMATCH, "of another key")

    def test_libraryMissing(self):
        """834 without libusb, with the package's name."""
        self.patch(libusb1, "get_backend", lambda: None)
        found = check_ukey(self.key.binding)
        self.assertEqual(found.code, ResultCode.CERTFILE_UKEYDLLFAIL)
        self.assertIn("libusb-1.0-0", found.text)
        self.assertFalse(found.passing)

    def test_newContext(self):
        """libusb looks anew each time: what was plugged in before is not kept."""
        self.patch(libusb1, "_lib_object", self.bus)
        self.patch(libusb1, "get_backend", lambda: libusb1._lib_object or self.bus)
        found = check_ukey(
            self.key.binding,
            None,
            self.random_bytes,
            1,
            self.clock.seconds,
            self.clock.advance,
        )
        self.assertEqual(found.code, ResultCode.SUCCESS, found.text)
        self.assertIsNone(libusb1._lib_object)

    def test_badBinding(self):
        """861 for a public key that is none."""
        for public_key in ("", "zz", "04" + "00" * 64, "02" + "11" * 32, "é"):
            self.assertFound(
                ResultCode.CERTFILE_UKEYFAIL,
                "public key",
                binding=UKeyBinding(0x1209, 1, self.key.serial, public_key),
            )
        self.assertEqual(self.key.asked, [])


class SeveralTests(UKeyTestCase):
    """Several keys at once."""

    def setUp(self):
        super().setUp()
        self.other = SimulatedKey(self.clock, "UK-0002")
        self.bus.keys.insert(0, self.other)

    def test_rightOne(self):
        """The right one is found among others."""
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertEqual(self.other.asked, [])

    def test_sameSerial(self):
        """Of two with the same serial number either may be the right one."""
        self.other.serial = self.key.serial
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertIn(Request.SIGNATURE, self.other.asked)

    def test_otherWithoutPermission(self):
        """One that may not be used does not hide the right one."""
        self.other.open_fault = USBError("Access denied", -3, errno.EACCES)
        self.assertFound(ResultCode.SUCCESS, "answers")

    def test_rightOneWithoutPermission(self):
        """It is said that one may not be used, since that may be the right one."""
        self.key.open_fault = USBError("Access denied", -3, errno.EACCES)
        self.assertFound(ResultCode.CERTFILE_UKEYREADERR, "installukey.sh")

    def test_rightOneInTrouble(self):
        """What is wrong with the right one is told, not that there are others."""
        self.key.info = b"garbage!"
        self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, "does not say that it is")

    def test_many(self):
        """A bus full of them is not gone through without end."""
        self.bus.keys = [
            SimulatedKey(self.clock, f"UK-1{n:03}") for n in range(MOST_DEVICES)
        ]
        self.bus.keys.append(self.key)
        self.assertFound(ResultCode.CERTFILE_UKEYNOTMATCH, "by serial number")


class TroubleTests(UKeyTestCase):
    """A key or a bus that does not do as it should."""

    def test_noPermission(self):
        """832 names the script that gives the permission."""
        for number in (errno.EACCES, errno.EPERM):
            self.key.open_fault = USBError("Access denied", -3, number)
            self.assertFound(ResultCode.CERTFILE_UKEYREADERR, "etc/installukey.sh")

    def test_busy(self):
        """A key that another program has claimed is tried again."""
        self.key.open_fault = USBError("Resource busy", -6, errno.EBUSY)
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "another program", passing=True
        )

    def test_pulledOut(self):
        """832 wherever in the exchange it is pulled out; 831 is the next check's."""
        binding = self.key.binding
        for request in (
            Request.INFO,
            Request.CHALLENGE,
            Request.STATE,
            Request.SIGNATURE,
        ):
            self.bus.keys = [self.key]

            def pull(_):
                self.bus.keys.remove(self.key)
                gone()

            self.key.faults = {request: pull}
            self.assertFound(
                ResultCode.CERTFILE_UKEYREADERR, "pulled out", passing=True
            )
            self.assertFound(ResultCode.CERTFILE_UKEYNOTFOUND, "", binding=binding)
            self.key.faults = {}
            self.clock.advance(5)

    def test_pulledOutWhileListed(self):
        """A bus that changes while it is looked at is tried again."""
        self.bus.fault = USBError("No such device", -4, errno.ENODEV)
        self.assertFound(ResultCode.CERTFILE_UKEYREADERR, "pulled out", passing=True)

    def test_readError(self):
        """Any other trouble with the bus is tried again, and said as it is."""
        self.key.faults[Request.INFO] = self.fail_with(USBError("I/O", -1, errno.EIO))
        self.assertFound(ResultCode.CERTFILE_UKEYREADERR, "I/O", passing=True)
        self.key.faults[Request.INFO] = self.fail_with(USBError("Strange", -99))
        self.assertFound(ResultCode.CERTFILE_UKEYREADERR, "Strange", passing=True)

    def fail_with(self, error):
        """A fault that is this error."""

        def fail(_):
            raise error

        return fail

    def test_mute(self):
        """A key that says nothing costs a transfer's time."""
        self.key.faults[Request.INFO] = lambda _: None
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "does not answer", passing=True
        )
        self.assertEqual(self.clock.seconds(), 1.0)

    def test_neverReady(self):
        """A key that signs for ever costs the time that there is, and no more."""
        self.key.faults[Request.STATE] = lambda _: bytes([State.WORKING])
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "does not finish", passing=True
        )
        self.assertEqual(self.clock.seconds(), TIMEOUT)

    def test_alwaysBusy(self):
        """A key that takes no challenge costs the time that there is, and no more."""
        self.key.faults[Request.CHALLENGE] = stalled
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "does not finish", passing=True
        )
        self.assertEqual(self.clock.seconds(), TIMEOUT)

    def test_forgetful(self):
        """A key that never knows of the challenge costs no more either."""
        self.key.faults[Request.STATE] = lambda _: bytes([State.UNKNOWN])
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "does not finish", passing=True
        )
        self.assertEqual(self.clock.seconds(), TIMEOUT)

    def test_timeIsForAll(self):
        """A second key that is as slow adds nothing to the time."""
        twin = SimulatedKey(self.clock)
        self.bus.keys.append(twin)
        for key in (self.key, twin):
            key.faults[Request.STATE] = lambda _: bytes([State.WORKING])
        self.assertFound(
            ResultCode.CERTFILE_UKEYREADERR, "does not finish", passing=True
        )
        self.assertEqual(self.clock.seconds(), TIMEOUT)

    def test_garbage(self):
        """830 for every answer that is not as the wire's page says."""
        for request, answer, words in (
            (Request.INFO, b"", "in 0 bytes"),
            (Request.INFO, b"ACUK\x01\x01", "in 6 bytes"),
            (Request.INFO, b"\xff" * 8, "does not say that it is"),
            (Request.STATE, b"", "state"),
            (Request.STATE, b"\xff", "state"),
            (Request.STATE, bytes([State.FAILED]), "cannot sign"),
            (Request.SIGNATURE, b"", "0 bytes"),
            (Request.SIGNATURE, b"\x01" * 63, "63 bytes"),
            (Request.SIGNATURE, bytes(64), "none of P-256"),
            (Request.SIGNATURE, b"\xff" * 64, "none of P-256"),
        ):
            self.key.faults = {request: lambda _, answer=answer: answer}
            self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, words)
            self.clock.advance(5)

    def test_garbageSignature(self):
        """A signature that might be one but is not counts as another key's."""
        self.key.faults[Request.SIGNATURE] = lambda _: b"\x01" * 64
        self.assertFound(ResultCode.CERTFILE_UKEYNOTMATCH, "of another key")

    def test_garbageSerial(self):
        """830 for a serial number that is none."""
        for descriptor in (
            b"",
            b"\x02",
            b"\x04\x02A\x00",
            b"\x06\x03A\x00",
            b"\x03\x03A",
            b"\x04\x03\x00\xd8",
        ):
            self.key.serial_descriptor = descriptor
            self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, "serial number")

    def test_refuses(self):
        """830 for a device that is no UKey at all and refuses the requests."""
        self.key.faults[Request.INFO] = stalled
        self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, "refuses")

    def test_laterVersion(self):
        """830 for a key of a version to come, with both numbers."""
        self.key.info = build_info(Info(VERSION + 1, has_pair=True))
        self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, "version 2")

    def test_noPair(self):
        """830 for a key that has no pair yet."""
        self.key.info = build_info(Info(VERSION, has_pair=False))
        self.assertFound(ResultCode.CERTFILE_UKEYSIGFAIL, "not made its pair")


class SharedTests(UKeyTestCase):
    """Several programs, a server and the check by hand, use one key."""

    def other_program(self, number):
        """Another program has the key sign."""
        self.key.write(0x40, Request.CHALLENGE, number, bytes(32))

    def test_waits(self):
        """A key that is at another's challenge is asked again after it."""
        self.other_program(0x7777)
        self.assertFound(ResultCode.SUCCESS, "answers")

    def test_othersSignature(self):
        """A signature that another has not fetched is not taken for its own."""
        self.key.signing_time = 0.0
        self.other_program(0x7777)
        self.assertFound(ResultCode.SUCCESS, "answers")
        self.assertGreaterEqual(self.clock.seconds(), 2.0, "held for who asked")

    def test_displaced(self):
        """Whose challenge made place for another's asks again."""
        self.key.signing_time = 3.0
        real = self.key.read
        once = iter([True])

        def interrupted(kind, request, value, index):
            if request == Request.STATE and next(once, False):
                self.clock.advance(10)
                self.other_program(0x7777)
            return real(kind, request, value, index)

        self.key.read = interrupted
        found = self.check(timeout=30)
        self.assertEqual(found.code, ResultCode.SUCCESS, found.text)
        self.assertEqual(self.key.asked.count(Request.SIGNATURE), 1)


class ReadTests(UKeyTestCase):
    """The vendor reads keys, to write them into licences."""

    def read(self):
        """The keys that are plugged in."""
        return read_ukeys(
            self.key.vendor,
            self.key.product,
            self.bus,
            self.random_bytes,
            TIMEOUT,
            self.clock.seconds,
            self.clock.advance,
        )

    def test_read(self):
        """All of them, each as a licence binds to it."""
        other = SimulatedKey(self.clock, "UK-0002")
        self.bus.keys.append(other)
        self.assertEqual(self.read(), [self.key.binding, other.binding])

    def test_none(self):
        """No key, no binding."""
        self.bus.keys.clear()
        self.assertEqual(self.read(), [])

    def test_others(self):
        """A key that does not show what it signs with gets no licence."""
        other = SimulatedKey(self.clock).public_key
        for request, answer, words in (
            (Request.PUBLIC_KEY, other, "of the key that it shows"),
            (Request.PUBLIC_KEY, b"\x04" + bytes(64), "none of P-256"),
            (Request.PUBLIC_KEY, b"", "none of P-256"),
        ):
            self.key.faults = {request: lambda _, answer=answer: answer}
            error = self.assertRaises(UKeyTrouble, self.read)
            self.assertEqual(error.code, ResultCode.CERTFILE_UKEYSIGFAIL)
            self.assertIn(words, error.text)

    def test_noSerial(self):
        """A key without a serial number gets none either."""
        self.key.has_serial = False
        error = self.assertRaises(UKeyTrouble, self.read)
        self.assertIn("no serial number", error.text)

    def test_trouble(self):
        """What a check would find is raised, with its code."""
        self.key.faults[Request.INFO] = lambda _: None
        error = self.assertRaises(UKeyTrouble, self.read)
        self.assertEqual(error.code, ResultCode.CERTFILE_UKEYREADERR)
        self.assertIn("(errorcode=832)", str(error))
        self.assertTrue(error.passing)
