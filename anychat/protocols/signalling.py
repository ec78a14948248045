"""The two ends of a signalling link, on Twisted.

The dialogue (``docs/wire/signalling.md`` has the bytes)::

    client                                  server
      MAGIC, ClientHello          ->
                                  <-          ServerHello
      ClientProof (if asked)      ->
                                  <-          Connect(0)
      Login | Resume              ->
                                  <-          LoginResult | Resumed
      ... session messages, numbered, both ways; Heartbeat, HeartbeatReply ...
                                  <-          LinkClose(code), then the end

A link knows its bytes, its stage in that dialogue and what it costs; whom it
serves is its owner's business.  `ServerLink` hands logins, resumptions and
session frames to a `LinkOwner`; `ClientLink` hands messages to a
`ClientLinkOwner`.  Neither outlives its TCP connection: what a session needs
beyond that is in `reliable.ReliableChannel`.
"""

from anychat.protocols.formats import VERSION
from anychat.protocols.signalling_client import ClientLink, ClientLinkOwner
from anychat.protocols.signalling_server import (
    HelloFacts,
    LinkOwner,
    LinkTerms,
    ServerLink,
    SessionEnd,
    Stage,
)

__all__ = [
    "VERSION",
    "ClientLink",
    "ClientLinkOwner",
    "HelloFacts",
    "LinkOwner",
    "LinkTerms",
    "ServerLink",
    "SessionEnd",
    "Stage",
]
