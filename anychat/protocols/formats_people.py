"""Messages about users: signed login, user data, control, queries, options.

``LoginEx`` is a link message; the others are session messages.
"""

from construct import Int64sb

from anychat.business_messages import MAX_CONTROL_TEXT
from anychat.codes import SignatureScheme, StreamInfo
from anychat.messages import (
    Friend,
    FriendStatus,
    InfoValue,
    LoginEx,
    OptionValue,
    QueryInfoFromServer,
    QuerySDKOption,
    QueryStreamInfo,
    RenewStreams,
    SetSDKOption,
    SyncData,
    UserFriends,
    UserGroup,
    UserGroups,
    UserInfoCommand,
    UserInfoControl,
    UserInfoItem,
    UserInfos,
    UserInfoUpdate,
)
from anychat.protocols.formats_fields import (
    FLAG,
    I32,
    NAME_MAXIMUM,
    TEXT_MAXIMUM,
    U8,
    U32,
    enumerated,
    line,
    octets,
    record,
    sequence,
    text,
)
from anychat.protocols.formats_link import CODE

I64 = Int64sb

#: Longest string id, in bytes of UTF-8: the product's tools cut it off there.
STRING_ID_MAXIMUM = 199
#: Longest app id, in bytes.
APP_ID_MAXIMUM = 128
#: Longest signature, in bytes: RSA with 8192 bits.
SIGNATURE_MAXIMUM = 1024
#: Longest parameters of a signed login, in bytes of UTF-8.
PARAMETERS_MAXIMUM = 4096
#: Most groups in one `UserGroups`: with the longest names they fit one frame.
GROUPS_MAXIMUM = 100
#: Most groups that a friend may be in, and most friends in one `UserFriends`.
FRIEND_GROUPS_MAXIMUM = 16
FRIENDS_MAXIMUM = 500
#: Most pieces of information about one user, and the longest one in bytes of
#: UTF-8.  All of a user have 16 KiB together, which is the core's to see to.
INFOS_MAXIMUM = 64
INFO_MAXIMUM = 4096
#: Longest answer to a query, in bytes of UTF-8.
ANSWER_MAXIMUM = 60_000

LOGIN_EX = record(
    LoginEx,
    "nickname" / text(NAME_MAXIMUM),
    "user_id" / I32,
    "string_id" / text(STRING_ID_MAXIMUM),
    "app_id" / text(APP_ID_MAXIMUM),
    "timestamp" / U32,
    "scheme" / enumerated(U8, SignatureScheme),
    "signature" / octets(SIGNATURE_MAXIMUM),
    "parameters" / text(PARAMETERS_MAXIMUM),
    "local_address" / text(64),
)

SYNC_DATA = record(SyncData)

USER_GROUPS = record(
    UserGroups,
    "groups"
    / sequence(
        record(UserGroup, "group_id" / I32, "name" / line(NAME_MAXIMUM)),
        GROUPS_MAXIMUM,
    ),
)

USER_FRIENDS = record(
    UserFriends,
    "friends"
    / sequence(
        record(
            Friend,
            "user_id" / I32,
            "online" / FLAG,
            "group_ids" / sequence(I32, FRIEND_GROUPS_MAXIMUM, U8),
        ),
        FRIENDS_MAXIMUM,
    ),
)

USER_INFOS = record(
    UserInfos,
    "user_id" / I32,
    "infos"
    / sequence(
        record(UserInfoItem, "info_id" / I32, "text" / text(INFO_MAXIMUM)),
        INFOS_MAXIMUM,
        U8,
    ),
)

USER_INFO_UPDATE = record(UserInfoUpdate, "user_id" / I32, "kind" / I32)

FRIEND_STATUS = record(FriendStatus, "user_id" / I32, "online" / FLAG)

USER_INFO_CONTROL = record(
    UserInfoControl,
    "user_id" / I32,
    "control_code" / U32,
    "wparam" / I32,
    "lparam" / I32,
    "text" / text(TEXT_MAXIMUM),
)

USER_INFO_COMMAND = record(
    UserInfoCommand,
    "source" / I32,
    "control_code" / U32,
    "wparam" / I32,
    "lparam" / I32,
    "text" / text(MAX_CONTROL_TEXT),
)

QUERY_INFO_FROM_SERVER = record(
    QueryInfoFromServer, "query" / U32, "text" / text(NAME_MAXIMUM)
)

INFO_VALUE = record(InfoValue, "code" / CODE, "text" / text(ANSWER_MAXIMUM))

SET_SDK_OPTION = record(SetSDKOption, "option" / U32, "number" / I32)

QUERY_SDK_OPTION = record(QuerySDKOption, "option" / U32)

OPTION_VALUE = record(OptionValue, "code" / CODE, "number" / I64)

QUERY_STREAM_INFO = record(
    QueryStreamInfo,
    "user_id" / I32,
    "stream_index" / U8,
    "info" / enumerated(U8, StreamInfo),
)

RENEW_STREAMS = record(RenewStreams)
