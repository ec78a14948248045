"""What the services are told about their work."""

from dataclasses import dataclass, field

from anychat.protocols.tls import ServerContext


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How clients' links are served."""

    port: int
    """TCP port; 0 picks one (for tests)."""
    addresses: tuple[str, ...] = ()
    """IP addresses to listen on; empty: all, IPv4 and IPv6."""
    password: str = field(default="", repr=False)
    """SDKAuthPass; empty: clients need to prove nothing."""
    check_time: float = 5.0
    """Seconds between a client's heartbeats (NetCheckTime)."""
    timeout: float = 20.0
    """Seconds of silence that end a link (NetTimeoutTime)."""
    secure: ServerContext | None = None
    """TLS; None: it is not offered."""
    allow_plain: bool = False
    """Plain links are taken from beyond loopback."""
    hold_time: int = 30
    """Seconds that a session outlives its link, as clients are told."""
    links_per_address: int = 100
    """Connections without a session from one address (IPv6: one /64)."""
    links_overall: int = 20_000
    """Connections without a session."""
    hello_time: float = 10.0
    """Seconds until TLS, hello and proof must be through."""
    login_time: float = 300.0
    """Seconds until a connection must have a session."""
    closing_time: float = 5.0
    """Seconds for the last bytes to go out."""
    login_failures: int = 5
    """Logins and resumptions refused on one link before it is closed."""
    memory_overall: int = 512 << 20
    """Bytes kept for clients all together: unsent, and not acknowledged."""


@dataclass(frozen=True, slots=True)
class BusinessChannelSettings:
    """How business servers are served."""

    port: int
    """TCP port; 0 picks one (for tests)."""
    addresses: tuple[str, ...] = ("127.0.0.1",)
    """IP addresses to listen on; empty: all, IPv4 and IPv6."""
    password: str = field(default="", repr=False)
    """SDKAuthPass; empty: whoever is on this host may connect, and nobody else."""
    answer_timeout: float = 5.0
    """Seconds for a verdict (AnswerTimeout)."""
    require: bool = True
    """Rooms wait for a verdict while there is nobody to give it (RequireBusiness)."""
    heartbeat: float = 5.0
    """Seconds between heartbeats, either way."""
    timeout: float = 20.0
    """Seconds of silence that end a channel."""
    begin_time: float = 10.0
    """Seconds until TLS, hello and proof must be through."""
    queue_bytes: int = 64 << 20
    """Kept for each name until it is acknowledged, or dropped."""
    window_events: int = 4096
    """Texts, buffers and data of clients under way to one business server; other
    events have a window four times as wide, a user has a sixteenth of this one."""
    window_bytes: int = 1 << 20
    """The same of bytes; a user has half of it."""
    questions: int = 10_000
    """Questions that may wait at one business server."""
    names: int = 16
    """Business servers that are remembered, connected or not."""
    channels_per_address: int = 16
    """Connections that have not begun from one address (IPv6: one /64)."""
    channels_overall: int = 64
    """Connections that have not begun."""
