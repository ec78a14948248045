"""Link messages: hello, proof, heartbeat, login, resume.

They concern one TCP link, carry no sequence number and are never replayed.
Types 1 to 31.
"""

from anychat.codes import Capability, DeviceType, ResultCode
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    Heartbeat,
    HeartbeatReply,
    LinkClose,
    Login,
    LoginResult,
    MediaPacket,
    MediaPath,
    Resume,
    Resumed,
    ServerHello,
)
from anychat.protocols.formats_fields import (
    FLAG,
    I32,
    NAME_MAXIMUM,
    PASSWORD_MAXIMUM,
    U8,
    U16,
    U32,
    checked,
    enumerated,
    fixed,
    line,
    octets,
    record,
    secret,
    text,
    with_unknown,
)
from anychat.protocols.proof import NONCE_SIZE, PROOF_SIZE, SALT_SIZE

#: Size of a resume token in bytes.
TOKEN_SIZE = 16
#: Longest packet of the media plane, as `rtp.MAX_DATAGRAM`.
MEDIA_MAXIMUM = 1200

CODE = enumerated(U32, ResultCode)
CAPABILITIES = checked(U32, Capability, int)
DEVICE = with_unknown(U8, DeviceType, DeviceType.UNKNOWN)

CLIENT_HELLO = record(
    ClientHello,
    "version" / U16,
    "capabilities" / CAPABILITIES,
    "nonce" / fixed(NONCE_SIZE),
    "device" / DEVICE,
    "agent" / line(255),
)

SERVER_HELLO = record(
    ServerHello,
    "version" / U16,
    "capabilities" / CAPABILITIES,
    "nonce" / fixed(NONCE_SIZE),
    "salt" / fixed(SALT_SIZE),
    "proof_required" / FLAG,
    "server_version" / line(255),
    "build_time" / line(255),
    "operating_system" / line(255),
    "uptime" / U32,
    "licence_mode" / U8,
    "check_time" / U32,
    "timeout" / U32,
)

CLIENT_PROOF = record(ClientProof, "proof" / fixed(PROOF_SIZE))

CONNECT = record(Connect, "code" / CODE)

HEARTBEAT = record(Heartbeat, "stamp" / U32)

HEARTBEAT_REPLY = record(HeartbeatReply, "stamp" / U32)

LOGIN = record(
    Login,
    "name" / text(NAME_MAXIMUM),
    "password" / text(PASSWORD_MAXIMUM),
    "local_address" / text(64),
)

LOGIN_RESULT = record(
    LoginResult,
    "code" / CODE,
    "user_id" / I32,
    "level" / I32,
    "nickname" / line(NAME_MAXIMUM),
    "token" / secret(TOKEN_SIZE),
    "hold_time" / U32,
)

RESUME = record(Resume, "taken" / U32, "token" / fixed(TOKEN_SIZE))

RESUMED = record(
    Resumed,
    "code" / CODE,
    "taken" / U32,
    "resync" / FLAG,
    "token" / secret(TOKEN_SIZE),
)

LINK_CLOSE = record(LinkClose, "code" / CODE)

MEDIA_PACKET = record(MediaPacket, "data" / octets(MEDIA_MAXIMUM))

MEDIA_PATH = record(MediaPath, "over_link" / FLAG)
