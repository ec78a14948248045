"""Tests of `anychat.config_file`, with the core server's file."""

from anychat import config_file
from anychat.config import load
from anychat.errors import ConfigError
from test.config_files import MANUAL, FileCase


class ReadingTests(FileCase):
    """Files that are taken."""

    def test_windowsFile(self):
        """Line ends of Windows and Chinese comments in GBK change nothing."""
        text = "; 服务器配置\n# 佰锐科技\n" + MANUAL.replace("1\n", "1 ; 是\n", 1)
        for encoding in ("gbk", "utf-8", "utf-8-sig"):
            data = text.replace("\n", "\r\n").encode(encoding)
            self.assertEqual(self.load(data), self.load(MANUAL), encoding)

    def test_emptyFile(self):
        """A file that sets nothing is taken, and told: it may have been cut."""
        for text in ("", "\n", "# all gone\n", "[Base Settings]\n"):
            self.assertEqual(self.warnings(text), [": sets nothing, all defaults hold"])

    def test_comments(self):
        """A comment starts at # or ; behind white space, and not inside a word."""
        loaded = self.load(
            "[Base Settings] # one\n  ServerID = 7\t; two\n#ServerID=8\n"
            "[Function Settings]\nSDKFilterPlus=a#b;c.so # three\n"
        )
        self.assertEqual(loaded.base.server_id, 7)
        self.assertEqual(loaded.function.sdk_filter_plus, "a#b;c.so")

    def test_quotes(self):
        """A value in quotes is what stands between them."""
        loaded = self.load(
            '[Function Settings]\nSDKFilterPlus="a # b.so" # why\n'
            "[Base Settings]\nServerID='12'\n"
        )
        self.assertEqual(loaded.function.sdk_filter_plus, "a # b.so")
        self.assertEqual(loaded.base.server_id, 12)

    def test_passwordIsTheWholeLine(self):
        """Nothing of a password is lost, whatever signs it is made of."""
        for password in (
            "a,b",
            "100%",
            "%(x)s",
            "a#b",
            "a;b",
            "it's",
            '"',
            "密码",
            "=",
        ):
            loaded = self.load(f"[Base Settings]\nSDKAuthPass= {password} \n")
            self.assertEqual(loaded.base.sdk_auth_pass, password)
            self.assertEqual(loaded.warnings, ())

    def test_passwordWithSuspiciousComment(self):
        """What looks like a comment belongs to the password, which is told."""
        text = "[Base Settings]\nSDKAuthPass=hush # hush\n"
        self.assertEqual(self.load(text).base.sdk_auth_pass, "hush # hush")
        [warning] = self.warnings(text)
        self.assertIn("line 2: [Base Settings] SDKAuthPass", warning)
        self.assertNotIn("hush", warning)

    def test_unknownKeysWarn(self):
        """What is not known is ignored and named with its line, and a guess."""
        self.assertEqual(
            self.warnings(
                "[Base Settings]\ntcplistenport=1\nColour=2\nServerID=3\n"
                "[Vidio Settings]\nVideoFPS=99\n"
            ),
            [
                ", line 2: [Base Settings] tcplistenport is not known, ignored "
                "(is TCPListenPort meant?)",
                ", line 3: [Base Settings] Colour is not known, ignored",
                ", line 5: section [Vidio Settings] is not known, ignored "
                "(is Video Settings meant?)",
            ],
        )


class RefusingTests(FileCase):
    """Files that are refused."""

    def test_duplicates(self):
        """A key or a section that is there twice is refused, not guessed at."""
        self.assertEqual(
            self.errors(
                "[Base Settings]\nServerID=1\nServerID=2\n"
                "[P2P Settings]\n[Base Settings]\nDemoMode=1\n"
            ),
            [
                ", line 3: [Base Settings] ServerID is there twice, first in line 2",
                ", line 5: section [Base Settings] is there twice",
            ],
        )

    def test_keyBeforeAnySection(self):
        """A key whose section was forgotten is refused: it may be SDKAuthPass."""
        self.assertEqual(
            self.errors("SDKAuthPass=hush\n[Base Settings]\nServerID=1\n"),
            [", line 1: SDKAuthPass stands before any section"],
        )

    def test_brokenLines(self):
        """A line that is none of the three kinds is refused without showing it."""
        for line in ("hush", "=hush", "[hush", "[[hush]]", "[]", "[Base] hush"):
            [error] = self.errors(f"[Base Settings]\n{line}\n")
            self.assertIn(", line 2: neither", error)
            self.assertNotIn("hush", error)

    def test_longValueIsCut(self):
        """A message does not repeat a value of any length."""
        [error] = self.errors("[Base Settings]\nServerID=" + "9" * 5000)
        self.assertLess(len(error), 300)

    def test_notAText(self):
        """Bytes that are no text in either encoding are refused."""
        for data in (
            MANUAL.encode("utf-16"),
            b"\x00\x01",
            b"[Base Settings]\n\xff\xff",
        ):
            self.assertEqual(self.errors(data), [": not a text in UTF-8 or GBK"])

    def test_tooLarge(self):
        """A file that cannot be a configuration is not read to its end."""
        [error] = self.errors(b"#" * (config_file.MAX_FILE_SIZE + 1))
        self.assertIn("larger than", error)

    def test_unreadable(self):
        """What cannot be read is an error; only a missing file is not."""
        error = self.assertRaises(ConfigError, load, self.directory)
        self.assertIn("cannot be read", str(error))
        error = self.assertRaises(ConfigError, load, self.directory / "gone" / "x.ini")
        self.assertIn("no such directory", str(error))
