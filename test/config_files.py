"""Configurations for tests: the manual's, and files that are written and loaded."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.config import Config, load
from anychat.errors import ConfigError

#: The sample file of the manual (3.1), as it stands there.
MANUAL = """\
[Base Settings]
ServerID=1
TCPListenPort=8906
UDPServicePort=8907
SDKAuthPass=
DemoMode=1

[P2P Settings]
RoutingPolicy=2
RoutingTTL=3
RoutingMTN=4

[Video Settings]
VideoWidth=320
VideoHeight=240
VideoFPS=15
VideoGOPSize=30
VideoBitrate=90000
VideoCodec=1
VideoQuality=3
[Audio Settings]
AudioSamplesPerSec=16000
AudioChannels=1
AudioBitsPerSample=16
AudioCodec=11
AudioBitrate=15850

[Function Settings]
CloseFrontLink=1
AutoAddRoom=1
SDKFilterPlus=libipcfilterplus.so
AllowGuestLogin=1
MaxUsersPerRoom=100
VideoCallStartRoomId=1
NetCheckTime=5000
NetTimeoutTime=20000
TempFilePath=

[Standby Server Settings]
SlaveMode=0
MasterServerIP=
MasterServerUDPPort=8907

[Debug Settings]
AutoUploadLogInfo=0
SaveLogRootDir=
OutputThreadStatus=0
OutputRecordTask=0
"""


class FileCase(SynchronousTestCase):
    """Tests that write a configuration and load it."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "AnyChatCoreServer.ini"

    def load(self, content: str | bytes) -> Config:
        """Load a file with that content."""
        if isinstance(content, str):
            content = content.encode()
        self.path.write_bytes(content)
        return load(self.path)

    def errors(self, content: str | bytes) -> list[str]:
        """The lines with which a file is refused, without its path."""
        error = self.assertRaises(ConfigError, self.load, content)
        lines = str(error).splitlines()
        for line in lines:
            self.assertTrue(line.startswith(str(self.path)), line)
        return [line.removeprefix(str(self.path)) for line in lines]

    def warnings(self, content: str | bytes) -> list[str]:
        """The warnings about a file that is taken, without its name."""
        return [
            line.removeprefix("AnyChatCoreServer.ini")
            for line in self.load(content).warnings
        ]
