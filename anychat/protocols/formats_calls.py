"""Messages of video calls.

Types 85 to 89.
"""

from anychat.codes import VideoCallEvent, VideoCallStage
from anychat.messages import VideoCallControl, VideoCallNotice, VideoCallStatus
from anychat.protocols.formats_fields import (
    FLAG,
    I32,
    TEXT_MAXIMUM,
    U8,
    U32,
    enumerated,
    record,
    text,
)
from anychat.protocols.formats_link import CODE

#: Longest text of a notice, in bytes of UTF-8: business servers may say more
#: than clients.
NOTICE_MAXIMUM = 60_000

VIDEO_CALL_CONTROL = record(
    VideoCallControl,
    "event" / enumerated(U8, VideoCallEvent),
    "user_id" / I32,
    "error" / CODE,
    "flags" / U32,
    "param" / I32,
    "text" / text(TEXT_MAXIMUM),
)

VIDEO_CALL_NOTICE = record(
    VideoCallNotice,
    "event" / enumerated(U8, VideoCallEvent),
    "user_id" / I32,
    "error" / CODE,
    "flags" / U32,
    "param" / I32,
    "text" / text(NOTICE_MAXIMUM),
)

VIDEO_CALL_STATUS = record(
    VideoCallStatus,
    "stage" / enumerated(U8, VideoCallStage),
    "user_id" / I32,
    "flags" / U32,
    "room_id" / I32,
    "is_caller" / FLAG,
)
