"""One message of every kind, and strategies that make any message.

The samples are what the golden files hold, so none of them may change; a new
kind of message is a new sample.
"""

import dataclasses
import types
import typing
from enum import IntEnum, IntFlag

from hypothesis import strategies as st

from anychat import messages
from anychat.codes import (
    Capability,
    DeviceType,
    ResultCode,
    RoomState,
    SignatureScheme,
    StreamInfo,
    StreamKind,
    StreamTransMode,
    TraceMode,
    TransferKind,
    UserState,
    VideoCallEvent,
    VideoCallStage,
)
from anychat.messages import (
    Friend,
    Member,
    OpenStreamInfo,
    PublishedStream,
    StreamFormat,
    Subscription,
    UserGroup,
    UserInfoItem,
)

FORMAT = StreamFormat(
    payload_type=96,
    clock_rate=90000,
    bitrate=60000,
    width=320,
    height=240,
    fps=15,
    channels=0,
    config=b"\x01\x02",
)

MEMBER = Member(
    user_id=7,
    level=1,
    nickname="小明",
    streams=(OpenStreamInfo(StreamKind.VIDEO, 0), OpenStreamInfo(StreamKind.AUDIO, 1)),
)

SAMPLES = (
    messages.ClientHello(
        version=1,
        capabilities=Capability.MEDIA | Capability.RESUME,
        nonce=bytes(range(16)),
        device=DeviceType.LINUX,
        agent="anychat-client/0.1",
    ),
    messages.ServerHello(
        version=1,
        capabilities=Capability.MEDIA | Capability.RESUME,
        nonce=bytes(range(16, 32)),
        salt=bytes(range(32, 48)),
        proof_required=True,
        server_version="6.0.0.1",
        build_time="2026-11-20 08:00:00",
        operating_system="Linux 6.1",
        uptime=93784,
        licence_mode=0,
        check_time=5000,
        timeout=20000,
    ),
    messages.ClientProof(proof=bytes(range(64, 96))),
    messages.Connect(ResultCode.CONNECT_AUTHFAIL),
    messages.Heartbeat(stamp=0xFFFFFFFE),
    messages.HeartbeatReply(stamp=0xFFFFFFFE),
    messages.Login(name="alice", password="secret\n", local_address="192.0.2.7"),
    messages.LoginResult(
        code=ResultCode.SUCCESS,
        user_id=-2,
        level=0,
        nickname="guest",
        token=bytes(range(128, 144)),
        hold_time=30,
    ),
    messages.Resume(taken=41, token=bytes(range(128, 144))),
    messages.Resumed(
        code=ResultCode.SUCCESS, taken=12, resync=True, token=bytes(range(144, 160))
    ),
    messages.LinkClose(ResultCode.LOGIN_NEWLOGIN),
    messages.MediaPacket(data=b"\x80\x6f packet"),
    messages.MediaPath(over_link=True),
    messages.LoginEx(
        nickname="小明",
        user_id=-1,
        string_id="u-4711",
        app_id="FBE957D1-C25A-4992-9E75-D993294A5D56",
        timestamp=1795000000,
        scheme=SignatureScheme.ED25519,
        signature=bytes(range(64)),
        parameters="{}",
        local_address="192.0.2.7",
    ),
    messages.Result(ResultCode.ROOM_NOTIN),
    messages.Logout(),
    messages.ServerParameters(
        320, 240, 15, 30, 90000, 1, 3, 3, 16000, 1, 16, 11, 16000
    ),
    messages.MediaSetup(
        addresses=("192.0.2.1", "2001:db8::1"),
        port=8907,
        username="00000001",
        client_ssrc=0x11111111,
        server_ssrc=0x22222222,
        stun_key=bytes(range(160, 176)),
        rtcp_key=bytes(range(176, 192)),
        rtcp_salt_key=bytes(range(192, 204)),
    ),
    messages.EnterRoom(room_id=1, password="door"),
    messages.EnterRoomByName(name="lobby", password=""),
    messages.EnterRoomResult(ResultCode.SUCCESS, 1, "lobby"),
    messages.LeaveRoom(1),
    messages.RoomMembers(1, (MEMBER,)),
    messages.OnlineUser(count=2, room_id=1),
    messages.UserAtRoom(entered=True, member=MEMBER),
    messages.SendText(target=-1, secret=False, text="hello\n世界"),
    messages.TextMessage(source=7, target=-1, secret=False, text="hello\n世界"),
    messages.TransBuffer(target=7, data=b"\x00\xff"),
    messages.TransBufferData(source=7, data=b"\x00\xff"),
    messages.OpenStream(StreamKind.VIDEO, 0, FORMAT),
    messages.StreamOpened(
        ResultCode.SUCCESS,
        ssrc=0x33333333,
        key=bytes(range(204, 220)),
        salt_key=bytes(range(220, 232)),
    ),
    messages.CloseStream(StreamKind.AUDIO, 0),
    messages.CameraState(user_id=7, stream_index=0, open=True),
    messages.MicStateChange(user_id=7, stream_index=0, open=False),
    messages.UserCameraControl(user_id=7, open=True, stream_index=2),
    messages.UserSpeakControl(user_id=7, open=False, stream_index=2),
    messages.StreamGranted(
        user_id=7,
        kind=StreamKind.VIDEO,
        stream_index=0,
        ssrc=0x33333333,
        format=FORMAT,
        roc=5,
        sequence=70,
        key=bytes(range(204, 220)),
        salt_key=bytes(range(220, 232)),
    ),
    messages.StreamEnded(7, StreamKind.VIDEO, 0, 0x33333333),
    messages.QueryOnlineUsers(),
    messages.QueryRoomUsers(1),
    messages.UserList(ResultCode.SUCCESS, 3, (7, -2, 9)),
    messages.QueryRoomState(1, RoomState.ONLINE_USERS),
    messages.QueryUserState(-1, UserState.INTERNET_IP),
    messages.StateValue(ResultCode.SUCCESS, -5, "203.0.113.9"),
    messages.Resync(
        user_id=7,
        room_id=1,
        room_name="lobby",
        published=(PublishedStream(StreamKind.VIDEO, 0, 0x33333333),),
        subscriptions=(Subscription(9, StreamKind.AUDIO, 1),),
    ),
    messages.SendSDKFilterData(data=b"\x00\xff"),
    messages.SDKFilterData(data=b"\x00\xff"),
    messages.TransferData(5, 2**33, bytes(range(32)), b"\x00\xff"),
    messages.TransferPortion(5, 2**33, bytes(range(32)), b"\x00\xff"),
    messages.TransferTaken(5, 2**33, restart=True),
    messages.TransferGrant(5, 2**33, 2**34, restart=False),
    messages.BeginTransfer(
        target=7,
        kind=TransferKind.FILE_EX,
        guid="6fc5e8a0-0d6c-4e0a-9a3c-8d4c1f1f7f0e",
        file_name="小明.txt",
        length=2**33,
        wparam=1,
        lparam=-1,
        flags=2,
        text='{"a": 1}',
    ),
    messages.TransferBegun(ResultCode.SUCCESS, 5),
    messages.TransferOffered(
        task_id=5,
        source=-2,
        kind=TransferKind.FILE,
        guid="6fc5e8a0-0d6c-4e0a-9a3c-8d4c1f1f7f0e",
        file_name="../../etc/passwd",
        length=2**33,
        wparam=1,
        lparam=-1,
        flags=2,
        text="",
    ),
    messages.EndTransfer(5, TransferKind.BUFFER, ResultCode.CANCEL),
    messages.TransferEnded(5, ResultCode.TRANSFILE_FAILED),
    messages.TransferTasks((5, 6)),
    messages.VideoCallControl(
        VideoCallEvent.REQUEST, 8, ResultCode.SUCCESS, 0x23, -1, "有空吗"
    ),
    messages.VideoCallNotice(
        VideoCallEvent.START, 8, ResultCode.SUCCESS, 0x23, 10005, ""
    ),
    messages.VideoCallStatus(VideoCallStage.TALKING, 8, 0x23, 10005, True),
    messages.SyncData(),
    messages.UserGroups((UserGroup(1, "同事"), UserGroup(2, "family"))),
    messages.UserFriends((Friend(8, True, (1, 2)), Friend(-2, False))),
    messages.UserInfos(8, (UserInfoItem(1, "小红"), UserInfoItem(2, ""))),
    messages.UserInfoUpdate(0, 0),
    messages.FriendStatus(8, True),
    messages.UserInfoControl(-1, 8, 90, 1, ""),
    messages.UserInfoCommand(0, 100, -1, 2147483647, "raise\nhand"),
    messages.QueryInfoFromServer(1, "小明"),
    messages.InfoValue(ResultCode.SUCCESS, "7"),
    messages.SetSDKOption(40, 1),
    messages.QuerySDKOption(230),
    messages.OptionValue(ResultCode.SUCCESS, 1795000000123),
    messages.QueryStreamInfo(7, 0, StreamInfo.VIDEO_WIDTH),
    messages.RenewStreams(),
    messages.SetUdpTrace(mode=TraceMode.SEND, target=-1),
    messages.MediaTransport(mode=StreamTransMode.UDP_THEN_TCP),
    messages.LogWanted(maximum=2097152),
    messages.LogPart(offset=32768, length=32771, data=b"end"),
    messages.OpenLayer(stream_index=0, format=FORMAT),
    messages.LayerGranted(
        user_id=7,
        stream_index=0,
        stream_ssrc=0x33333333,
        ssrc=0x44444444,
        format=FORMAT,
        roc=5,
        sequence=70,
        key=bytes(range(16)),
        salt_key=bytes(range(16, 28)),
    ),
)

_NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=50
)
_TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=200)

#: Values of fields whose range is not that of a plain 32-bit number.
_FIELDS = {
    "version": st.integers(0, 0xFFFF),
    "nonce": st.binary(min_size=16, max_size=16),
    "salt": st.binary(min_size=16, max_size=16),
    "proof": st.binary(min_size=32, max_size=32),
    "token": st.binary(min_size=16, max_size=16),
    "rtcp_key": st.binary(min_size=16, max_size=16),
    "key": st.binary(min_size=16, max_size=16),
    "rtcp_salt_key": st.binary(min_size=12, max_size=12),
    "salt_key": st.binary(min_size=12, max_size=12),
    "stun_key": st.binary(max_size=64),
    "data": st.binary(min_size=1, max_size=1000),
    "digest": st.binary(min_size=32, max_size=32),
    "config": st.binary(max_size=1024),
    "signature": st.binary(max_size=1024),
    "guid": st.text("0123456789abcdef-小", max_size=21),
    "app_id": st.text("0123456789ABCDEF-", max_size=128),
    "string_id": st.text("0123456789abcdef小", max_size=60),
    "password": _TEXTS,
    "text": _TEXTS,
    "local_address": st.text("0123456789abcdef:.", max_size=45),
    "addresses": st.lists(st.text("0123456789abcdef:.", max_size=45), max_size=16).map(
        tuple
    ),
    "licence_mode": st.integers(0, 0xFF),
    "stream_index": st.integers(0, 0xFF),
    "payload_type": st.integers(0, 0xFF),
    "fps": st.integers(0, 0xFF),
    "channels": st.integers(0, 0xFF),
    "port": st.integers(0, 0xFFFF),
    "sequence": st.integers(0, 0xFFFF),
    "width": st.integers(0, 0xFFFF),
    "height": st.integers(0, 0xFFFF),
}

_SIGNED = {
    *("user_id", "level", "room_id", "target", "source", "number", "user_ids"),
    *("group_id", "group_ids", "info_id", "kind", "param", "wparam", "lparam"),
}


def _values(name, kind):
    if name in _FIELDS:
        return _FIELDS[name]
    origin = typing.get_origin(kind)
    if origin is tuple:
        (item, _) = typing.get_args(kind)
        return st.lists(_values(name, item), max_size=4).map(tuple)
    assert origin not in (typing.Union, types.UnionType), name
    if dataclasses.is_dataclass(kind):
        return records(kind)
    if issubclass(kind, IntFlag):
        return st.integers(0, 0xFFFFFFFF).map(kind)
    if issubclass(kind, IntEnum):
        return st.sampled_from(list(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        if name in _SIGNED:
            return st.integers(-(2**31), 2**31 - 1)
        return st.integers(0, 2**32 - 1)
    assert kind is str, (name, kind)
    return _NAMES


def records(kind):
    """Any instance of a dataclass of the messages."""
    hints = typing.get_type_hints(kind)
    return st.builds(
        kind,
        **{
            field.name: _values(field.name, hints[field.name])
            for field in dataclasses.fields(kind)
        },
    )
