"""The graph of the server, and what it is made of."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

import anychat
from anychat import wiring
from anychat.business_messages import Arbiter
from anychat.codes import LicenceMode, SignatureScheme
from anychat.config import load
from anychat.errors import ConfigError
from anychat.filters.native import NativeFilter
from anychat.filters.plug_in import PlugIn
from anychat.filters.python import PythonFilter
from anychat.log import Log
from anychat.services.business import BusinessService
from anychat.terms import DEMO_TERMS, NO_TERMS
from test.protocols.test_signature import public, rsa_key

SETTINGS = """\
[Base Settings]
TCPListenPort=18906
UDPServicePort=18907
SDKAuthPass=sesame
DemoMode=0
[Video Settings]
VideoWidth=640
VideoHeight=480
VideoFPS=20
VideoGOPSize=60
VideoBitrate=300000
VideoQuality=4
VideoPreset=2
[Audio Settings]
AudioSamplesPerSec=44100
AudioChannels=2
AudioBitsPerSample=16
AudioCodec=13
AudioBitrate=64000
[Function Settings]
CloseFrontLink=1
AutoAddRoom=0
AllowGuestLogin=0
MaxUsersPerRoom=7
NetCheckTime=2000
NetTimeoutTime=9000
[Network Settings]
ListenAddress=127.0.0.1
[TLS Settings]
AllowPlain=1
[Business Settings]
ListenPort=18909
RequireBusiness=0
AnswerTimeout=9
[Media Settings]
PublicAddress=192.0.2.7
HoldTime=12
Threads=3
CoalesceMicroseconds=200
MediaScheduling=slice
SourcePackets=900
SourceBytes=0
"""


class WiringTests(SynchronousTestCase):
    """`wiring.build` and the settings it hands out."""

    def setUp(self):
        path = Path(self.mktemp())
        path.write_text(SETTINGS)
        self.config = load(str(path))

    def test_hall(self):
        """The core obeys the configuration."""
        settings = wiring.hall_settings(self.config)
        self.assertFalse(settings.demo_mode)
        self.assertFalse(settings.allow_guest_login)
        self.assertTrue(settings.close_front_link)
        self.assertFalse(settings.auto_add_room)
        self.assertEqual(settings.max_users_per_room, 7)
        self.assertEqual(settings.hold_time, 12.0)

    def test_licence(self):
        """Nobody gets in before a licence was seen; demo mode needs none."""
        self.assertEqual(wiring.hall_settings(self.config).terms, NO_TERMS)
        settings = wiring.licence_settings(self.config)
        self.assertEqual(settings.directory, self.config.directory)
        self.assertEqual(settings.version, anychat.__version__)
        self.assertIsNone(settings.licence_ca)
        self.assertEqual((settings.demo, settings.show_content), (False, False))
        base = replace(self.config.base, demo_mode=True, license_ca=Path("vendor.pem"))
        function = replace(self.config.function, extern_flags=64)
        demo = replace(self.config, base=base, function=function)
        self.assertEqual(wiring.hall_settings(demo).terms, DEMO_TERMS)
        settings = wiring.licence_settings(demo)
        self.assertEqual(settings.licence_ca, Path("vendor.pem"))
        self.assertEqual((settings.demo, settings.show_content), (True, True))
        host = wiring.licence_host(demo, MemoryReactorClock(), maybeDeferred)
        self.assertEqual(host.public_addresses, (ip_address("192.0.2.7"),))

    def test_signatures(self):
        """Signed logins are held against the configured key."""
        self.assertIsNone(wiring.signature_settings(self.config).key)
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / "AnyChatCoreServer.ini"
        path.write_text(
            "[Signature Settings]\nPublicKeyFile=key.pem\nAppId=shop\n"
            "Window=60\nAllowMD5=0\nRequire=1\n"
        )
        self.assertRaises(ConfigError, load, str(path))
        (directory / "key.pem").write_text("nonsense")
        error = self.assertRaises(
            ConfigError, wiring.signature_settings, load(str(path))
        )
        self.assertIn("PublicKeyFile=", str(error))
        (directory / "key.pem").write_bytes(public(rsa_key()))
        settings = wiring.signature_settings(load(str(path)))
        assert settings.key is not None
        self.assertEqual(settings.key.schemes, {SignatureScheme.RSA_PSS_SHA256})
        self.assertEqual(
            (settings.app_id, settings.window, settings.require), ("shop", 60.0, True)
        )

    def test_channel(self):
        """The channel for business servers obeys the configuration."""
        settings = wiring.channel_settings(self.config)
        self.assertEqual(settings.port, 18909)
        self.assertEqual(settings.addresses, ("127.0.0.1",))
        self.assertEqual(settings.password, "sesame")
        self.assertEqual(settings.answer_timeout, 9.0)
        self.assertFalse(settings.require)
        self.assertEqual((settings.heartbeat, settings.timeout), (2.0, 9.0))

    def test_arbiters(self):
        """A configured plug-in is waited for from the start; none is not."""
        for value, require, arbiters in (
            ("", True, (Arbiter.NOBODY, Arbiter.NOBODY)),
            ("ipc", True, (Arbiter.AWAY, Arbiter.AWAY)),
            ("ipc", False, (Arbiter.AWAY, Arbiter.NOBODY)),
        ):
            config = replace(
                self.config,
                function=replace(self.config.function, sdk_filter_plus=value),
                business=replace(self.config.business, require_business=require),
            )
            settings = wiring.hall_settings(config)
            self.assertEqual((settings.verifier, settings.admitter), arbiters)

    def test_links(self):
        """The links obey the configuration; milliseconds become seconds."""
        settings = wiring.link_settings(self.config, None)
        self.assertEqual(settings.port, 18906)
        self.assertEqual(settings.addresses, ("127.0.0.1",))
        self.assertEqual(settings.password, "sesame")
        self.assertEqual((settings.check_time, settings.timeout), (2.0, 9.0))
        self.assertTrue(settings.allow_plain)
        self.assertEqual(settings.hold_time, 12)

    def test_media(self):
        """The UDP port obeys the configuration."""
        settings = wiring.port_settings(self.config)
        self.assertEqual(settings.number, 18907)
        self.assertEqual(settings.interfaces, ("127.0.0.1",))
        everywhere = replace(
            self.config, network=replace(self.config.network, listen_address=())
        )
        self.assertEqual(wiring.port_settings(everywhere).interfaces, ("0.0.0.0", "::"))

    def test_relay(self):
        """Threads, waiting, scheduling and limits are the configured ones."""
        settings = wiring.relay_settings(self.config)
        self.assertEqual((settings.threads, settings.coalesce), (3, 200))
        self.assertTrue(settings.short_slice)
        self.assertEqual(settings.limit, (900, 0))

    def test_parameters(self):
        """Clients are given the configured media parameters."""
        parameters = wiring.server_parameters(self.config)
        self.assertEqual((parameters.video_width, parameters.video_height), (640, 480))
        self.assertEqual((parameters.video_fps, parameters.video_gop), (20, 60))
        self.assertEqual(parameters.video_bitrate, 300000)
        self.assertEqual((parameters.video_quality, parameters.video_preset), (4, 2))
        self.assertEqual(
            (parameters.audio_sample_rate, parameters.audio_channels), (44100, 2)
        )
        self.assertEqual(
            (parameters.audio_codec, parameters.audio_bitrate), (13, 64000)
        )

    def test_hello(self):
        """The hello says in which mode the server works, whatever its licence."""
        self.assertEqual(
            wiring.hello_facts(self.config).licence_mode, LicenceMode.LICENSED
        )
        demo = replace(self.config, base=replace(self.config.base, demo_mode=True))
        self.assertEqual(wiring.hello_facts(demo).licence_mode, LicenceMode.DEMO)

    def test_build(self):
        """Building opens no port, and makes the certificate where none is given."""
        reactor = MemoryReactorClock()
        service = wiring.build(self.config, reactor, Log())
        self.assertTrue(IService.providedBy(service))
        self.assertEqual(reactor.tcpServers, [])
        self.assertEqual(reactor.getDelayedCalls(), [])
        self.assertTrue(self.config.own_certificate_path.exists())
        mode = self.config.own_private_key_path.stat().st_mode
        self.assertEqual(mode & 0o777, 0o600)

    def test_plugIns(self):
        """What SDKFilterPlus names is among the services, and nothing else."""
        for value, kind in (
            ("", None),
            ("ipc", BusinessService),
            ("shop.filter", PythonFilter),
            ("filter.py", PythonFilter),
            ("libfilter.so", NativeFilter),
        ):
            function = replace(self.config.function, sdk_filter_plus=value)
            config = replace(self.config, function=function)
            service = wiring.build(config, MemoryReactorClock(), Log())
            found = [
                type(part)
                for part in service
                if isinstance(part, BusinessService | PlugIn)
            ]
            self.assertEqual(found, [kind] if kind else [])

    def test_certificateIsKept(self):
        """A second start uses the certificate of the first."""
        first = wiring.server_context(self.config).fingerprint
        self.assertEqual(wiring.server_context(self.config).fingerprint, first)
