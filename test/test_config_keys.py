"""Tests of `anychat.config_keys`: the names of fields, and what keys take."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import AudioCodec, VideoCodec
from anychat.config_keys import Disallowed, attribute, check, specification


class KeyTests(SynchronousTestCase):
    """Keys and their rules, by those of coreserver.spec."""

    def test_attributes(self):
        """Names of fields follow from names of keys."""
        for key, name in {
            "ServerID": "server_id",
            "SDKAuthPass": "sdk_auth_pass",
            "VideoGOPSize": "video_gop_size",
            "RoutingTTL": "routing_ttl",
            "MasterServerUDPPort": "master_server_udp_port",
            "Enable": "enable",
        }.items():
            self.assertEqual(attribute(key), name)

    def test_codecs(self):
        """The codecs that may be set are those that have numbers."""
        spec = specification()
        for rule, codecs in (
            (spec["Video Settings"]["VideoCodec"], VideoCodec),
            (spec["Audio Settings"]["AudioCodec"], AudioCodec),
        ):
            for number in range(200):
                if number in set(codecs) - {0}:
                    self.assertEqual(check(rule, str(number)), number)
                else:
                    self.assertRaises(Disallowed, check, rule, str(number))
