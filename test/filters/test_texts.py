"""Texts of compiled plug-ins."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.filters.texts import cut, text_of


class TextTests(SynchronousTestCase):
    """Bytes to text."""

    def test_encodings(self):
        """UTF-8 is taken first, then GBK; and nothing is refused."""
        for buffer, text in (
            (b"", ""),
            (b"\0rest", ""),
            (b"plain\0rest", "plain"),
            ("李雷".encode(), "李雷"),
            ("李雷".encode("gbk") + b"\0\0", "李雷"),
            ("李雷\0".encode(), "李雷"),
            (b"no end", "no end"),
            (b"\xff\xfe\0", "\ufffd\ufffd"),
            (b"half a sign \xc0\0", "half a sign \ufffd"),
        ):
            self.assertEqual(text_of(buffer), text)

    def test_cutByThePlugIn(self):
        """UTF-8 that was cut in the middle of a sign, for want of room."""
        whole = "李雷".encode()
        self.assertEqual(text_of(whole[:5]), "李")
        self.assertEqual(text_of(whole[:4] + b"\0"), "李")
        # With room left, it was not cut: that is GBK.
        self.assertEqual(text_of(b"\xc0\xee" + bytes(10)), "李")

    def test_cut(self):
        """A text is cut between two signs."""
        self.assertEqual(cut("李雷", 6), "李雷")
        self.assertEqual(cut("李雷", 5), "李")
        self.assertEqual(cut("\udcff", 5), "?")
