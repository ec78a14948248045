"""What the arguments of ``anychat-client`` may be."""

from argparse import ArgumentTypeError

from twisted.trial.unittest import SynchronousTestCase

from anychat.client import arguments


class ArgumentTests(SynchronousTestCase):
    """The functions of ``arguments``."""

    def test_refused(self):
        """What is wrong is said."""
        for function, text, complaint in (
            (arguments.address, "host:x", "host:x"),
            (arguments.udp_address, "host:x", "host:x"),
            (arguments.room, "0", "no room number"),
            (arguments.room, "-5", "-5 is no room number"),
            (arguments.room, "2147483648", "no room number"),
            (arguments.room, "", "number or a name"),
            (arguments.watch, "some", "some"),
            (arguments.seconds, "0", "no number of seconds"),
            (arguments.seconds, "nan", "no number of seconds"),
            (arguments.size, "640", "640x480"),
            (arguments.number(1, 60), "0", "1 to 60"),
            (arguments.video_bitrate, "x", "0 to 100M"),
            (arguments.video_bitrate, "101M", "0 to 100M"),
            (arguments.encodable, "\udcff", "'\\udcff' is not UTF-8"),
        ):
            error = self.assertRaises(ArgumentTypeError, function, text)
            self.assertIn(complaint, str(error))

    def test_udpPort(self):
        """Where UDP is meant the port is another one by default."""
        self.assertEqual(arguments.address("host"), ("host", 8906))
        self.assertEqual(arguments.udp_address("host"), ("host", 8907))
