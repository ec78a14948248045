"""Messages of network quality: the way of media, UDP traces, clients' logs.

Types 110 to 124.
"""

from anychat.codes import StreamTransMode, TraceMode
from anychat.messages import LogPart, LogWanted, MediaTransport, SetUdpTrace
from anychat.protocols.formats_fields import (
    I32,
    U8,
    U32,
    enumerated,
    octets,
    record,
)

#: Bytes of a log in one message.
LOG_PART_MAXIMUM = 32768

SET_UDP_TRACE = record(SetUdpTrace, "mode" / enumerated(U8, TraceMode), "target" / I32)

MEDIA_TRANSPORT = record(MediaTransport, "mode" / enumerated(U8, StreamTransMode))

LOG_WANTED = record(LogWanted, "maximum" / U32)

LOG_PART = record(
    LogPart,
    "offset" / U32,
    "length" / U32,
    "data" / octets(LOG_PART_MAXIMUM),
)
