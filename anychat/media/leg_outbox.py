"""What goes out to legs besides media: RTCP under their keys, by UDP or their links.

RTCP between a client and the server goes under the leg's own keys (SRTCP,
`srtp`), each way with its own SSRC, so that no nonce is used twice.  The
server's packets are reduced in size (RFC 5506): a NACK or PLI stands alone.
"""

from anychat.ids import SessionId
from anychat.media import rtcp
from anychat.media.binding import Bindings
from anychat.media.leg_state import Leg
from anychat.media.path import UPWARD, Path
from anychat.media.signals import Signal, wrap
from anychat.media.srtp import SrtcpSender


class Outbox:
    """Of all legs.

    :param bindings: where they are; what these send goes first.
    """

    def __init__(self, bindings: Bindings):
        self._bindings = bindings
        self._out: list[tuple[bytes, Path]] = []
        self._to_links: list[tuple[bytes, SessionId]] = []

    def path(self, state: Leg) -> Path | None:
        """Where what the leg receives goes."""
        return UPWARD if state.over_link else self._bindings.path(state.leg)

    def send(self, state: Leg, packet: rtcp.RtcpPacket) -> bool:
        """Send one packet to a leg; False if it has no address."""
        path = self.path(state)
        if path is None:
            return False
        credentials = state.credentials
        if state.sender is None:
            state.sender = SrtcpSender(
                credentials.rtcp_key, credentials.rtcp_salt, credentials.server_ssrc
            )
        data = state.sender.protect(rtcp.build([packet]))
        if path is UPWARD:
            self._to_links.append((data, state.leg))
        else:
            self._out.append((data, path))
        return True

    def signal(self, state: Leg, signal: Signal) -> None:
        """Tell the leg's client something."""
        self.send(state, wrap(state.credentials.server_ssrc, signal))

    def to_send(self) -> list[tuple[bytes, Path]]:
        """Remove and return what is to be sent, and where."""
        out = self._bindings.to_send()
        out += self._out
        self._out = []
        return out

    def to_links(self) -> list[tuple[bytes, SessionId]]:
        """Remove and return what is to go over legs' links."""
        out, self._to_links = self._to_links, []
        return out
