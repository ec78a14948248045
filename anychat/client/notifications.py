"""Notifications of the server: which part of the client each is for."""

from collections.abc import Callable
from functools import singledispatchmethod

from anychat.client import log as lines
from anychat.client.events import ClientEvents
from anychat.client.log_upload import LogUpload
from anychat.client.membership import Membership
from anychat.client.people import People
from anychat.client.plane import Plane
from anychat.client.streams import Streams
from anychat.client.transfers import Transfers
from anychat.client.video_calls import VideoCalls
from anychat.messages import (
    FriendStatus,
    LayerGranted,
    LogWanted,
    MediaTransport,
    Message,
    RenewStreams,
    Resync,
    SDKFilterData,
    StreamEnded,
    StreamGranted,
    SyncData,
    TextMessage,
    TransBufferData,
    TransferEnded,
    TransferOffered,
    TransferTasks,
    UserFriends,
    UserGroups,
    UserInfoCommand,
    UserInfos,
    UserInfoUpdate,
    VideoCallNotice,
    VideoCallStatus,
)


class Notifications:
    """Hands on what the server says; what nobody else takes is about the room."""

    def __init__(
        self,
        membership: Membership,
        streams: Streams,
        plane: Plane,
        people: People,
        video_calls: VideoCalls,
        transfers: Transfers,
        logs: LogUpload,
        events: ClientEvents,
        say: Callable[[str], None],
    ):
        """
        :param say: writes a line of the client's log.
        """
        self._membership = membership
        self._streams = streams
        self._plane = plane
        self._people = people
        self._video_calls = video_calls
        self._transfers = transfers
        self._logs = logs
        self._events = events
        self._say = say

    @singledispatchmethod
    def take(self, message: Message) -> None:
        """A notification."""
        self._membership.take(message)

    @take.register
    def _(self, message: RenewStreams) -> None:
        self._streams.renew()

    @take.register
    def _(self, message: LogWanted) -> None:
        self._logs.wanted(message.maximum)

    @take.register
    def _(self, message: MediaTransport) -> None:
        self._plane.offer(message.mode)

    @take.register
    def _(self, message: TextMessage) -> None:
        self._events.on_text_message(
            message.source, message.target, message.secret, message.text
        )

    @take.register
    def _(self, message: TransBufferData) -> None:
        self._events.on_trans_buffer(message.source, message.data)

    @take.register(TransferOffered)
    @take.register(TransferEnded)
    @take.register(TransferTasks)
    def _(self, message: Message) -> None:
        self._transfers.take(message)

    @take.register(SyncData)
    @take.register(UserGroups)
    @take.register(UserFriends)
    @take.register(UserInfos)
    @take.register(UserInfoUpdate)
    @take.register(FriendStatus)
    @take.register(UserInfoCommand)
    def _(self, message: Message) -> None:
        self._people.take(message)

    @take.register
    def _(self, message: VideoCallNotice) -> None:
        self._say(lines.video_call_line(message))
        self._video_calls.noticed(message)

    @take.register
    def _(self, message: VideoCallStatus) -> None:
        self._video_calls.resynchronized(message)

    @take.register
    def _(self, message: SDKFilterData) -> None:
        self._events.on_sdk_filter_data(message.data)

    @take.register
    def _(self, message: StreamGranted) -> None:
        self._streams.granted(message)

    @take.register
    def _(self, message: LayerGranted) -> None:
        self._streams.layer_granted(message)

    @take.register
    def _(self, message: StreamEnded) -> None:
        self._streams.ended(message)

    @take.register
    def _(self, message: Resync) -> None:
        self._people.missed()
        self._membership.take(message)
