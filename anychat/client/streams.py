"""What a client publishes and watches.

The program's wishes are kept here, apart from what the server holds of them:
that is how they outlive a session.  A wish is carried out when the room is
entered, again after each new entry that follows a lost session, and whatever
part of it a RESYNC finds missing.  Every time a stream is opened the server
gives it a new SSRC and key, so that no nonce is ever used twice.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from twisted.internet.defer import (
    Deferred,
    DeferredLock,
    gatherResults,
    inlineCallbacks,
)
from twisted.python.failure import Failure

from anychat.client.calls import checked
from anychat.client.events import ClientEvents
from anychat.client.wishes import (
    EventSink,
    MediaPlane,
    Publishing,
    SessionLost,
    Sink,
    Watching,
)
from anychat.codes import ResultCode, StreamKind
from anychat.errors import AnyChatError, Refused
from anychat.messages import (
    CloseStream,
    LayerGranted,
    Member,
    Message,
    OpenLayer,
    OpenStream,
    PublishedStream,
    Result,
    ServerParameters,
    StreamEnded,
    StreamGranted,
    StreamOpened,
    Subscription,
    UserCameraControl,
    UserSpeakControl,
)

#: Most stream indexes of a user (0 to 15).
STREAM_INDEXES = 16


def control(
    user_id: int, kind: StreamKind, stream_index: int, open: bool
) -> UserCameraControl | UserSpeakControl:
    """The message that subscribes, or ends that."""
    if kind == StreamKind.VIDEO:
        return UserCameraControl(user_id, open, stream_index)
    return UserSpeakControl(user_id, open, stream_index)


class Streams:
    """All publications and subscriptions of one client."""

    def __init__(
        self,
        request: "Callable[[Message], Deferred[Message]]",
        media: Callable[[], MediaPlane],
        parameters: Callable[[], ServerParameters | None],
        events: ClientEvents,
        say: Callable[[str], None],
    ):
        """
        :param request: sends a request; fails with `SessionLost`.
        :param media: the media plane, loaded when first asked for.
        :param parameters: the server's default media parameters.
        :param say: writes a line of the client's log.
        """
        self._request = request
        self._media = media
        self._parameters = parameters
        self._events = events
        self._say = say
        self._publishing: dict[int, Publishing] = {}
        self._watching: dict[tuple[int, int], Watching] = {}
        # Of before a lost session, whose users are not there (yet).
        self._missing: list[Watching] = []
        self.overrides: dict[str, int] = {}
        """Media parameters that replace the server's where a publication has none
        of its own."""
        self._locks = [DeferredLock() for _ in range(STREAM_INDEXES)]
        self._membership = 0

    @property
    def publications(self) -> tuple[Publishing, ...]:
        """What is being published."""
        return tuple(self._publishing.values())

    @property
    def watched(self) -> tuple[Watching, ...]:
        """What is being watched."""
        return (*self._watching.values(), *self._missing)

    # Publishing.

    def publish(
        self, source: Any, stream_index: int, overrides: Any
    ) -> "Deferred[Publishing]":
        """Publish, in place of what has that stream index; fails with `Refused`."""
        if stream_index not in range(STREAM_INDEXES):
            raise Refused(ResultCode.FUNCOPTERROR, f"stream index {stream_index!r}")
        self.unpublish(stream_index)
        publishing = Publishing(source, stream_index, overrides)
        self._publishing[stream_index] = publishing
        self._open(publishing)
        return publishing.ready

    def unpublish(self, stream_index: int) -> None:
        """Close the streams of that index; nothing if there are none."""
        publishing = self._publishing.pop(stream_index, None)
        if publishing is None:
            return
        opened = tuple(publishing.opened)
        publishing.halt()
        for kind in opened:
            self._tell(CloseStream(kind, stream_index))
        publishing.withdraw()

    def renew(self) -> None:
        """Open what is published anew, under other keys and with today's parameters."""
        for publishing in self.publications:
            if publishing.opened:
                publishing.halt()
                self._open(publishing)

    def _open(self, publishing: Publishing) -> None:
        """Open what is not open of it, after what that index is busy with."""
        attempt = self._locks[publishing.stream_index].run(
            self._open_streams, publishing, self._membership
        )
        self._conclude(publishing, attempt)

    @inlineCallbacks
    def _open_streams(
        self, publishing: Publishing, membership: int
    ) -> Generator["Deferred[Any]", Any, None]:
        index = publishing.stream_index
        if publishing.withdrawn:
            return
        if membership != self._membership:
            raise SessionLost
        media = self._media()
        overrides = {**self.overrides, **(publishing.overrides or {})}
        streams = media.formats(
            publishing.source, self._parameters(), overrides or None
        )
        for kind, format in streams:
            if kind in publishing.opened:
                continue
            reply = yield self._request(OpenStream(kind, index, format))
            opened = checked(reply, StreamOpened)
            if membership != self._membership:
                raise SessionLost
            if publishing.withdrawn:
                self._tell(CloseStream(kind, index))
                return
            sending = media.publish(opened, kind, format, publishing.source)
            publishing.opened[kind] = opened.ssrc
            publishing.sending[kind] = sending
            if kind is StreamKind.VIDEO:
                yield self._open_layer(publishing, media, sending)

    @inlineCallbacks
    def _open_layer(
        self, publishing: Publishing, media: MediaPlane, sending: Any
    ) -> Generator["Deferred[Any]", Any, None]:
        """Open the smaller layer of a video, if there is to be one.

        Without it the video is published all the same.
        """
        source = publishing.source
        form = media.layer(source)
        if form is None:
            return
        try:
            reply = yield self._request(OpenLayer(publishing.stream_index, form))
            opened = checked(reply, StreamOpened)
        except Refused as refused:
            self._say(f"Warning: the small picture is not published: {refused}")
            return
        if publishing.sending.get(StreamKind.VIDEO) is sending:
            media.publish_layer(opened, form, source, sending)

    def _conclude(self, wish: Publishing | Watching, attempt: "Deferred[Any]") -> None:
        """See to the outcome of an attempt to carry a wish out."""

        def failed(failure: Failure) -> None:
            if wish.withdrawn or failure.check(SessionLost) is not None:
                # Nobody wants it, or the next session tries again.
                return
            told = wish.settle(failure)
            self._drop(wish)
            if not told:
                self._say(f"Stream could not be restored: {failure.getErrorMessage()}")
                code = ResultCode.STREAM_SESSIONFAILED
                if failure.check(Refused) is not None:
                    code = failure.value.code
                self._events.on_sdk_warning(code)

        attempt.addCallbacks(
            lambda _: None if wish.withdrawn else wish.settle(wish), failed
        )

    def _drop(self, wish: Publishing | Watching) -> None:
        """Withdraw a wish that has not been withdrawn."""
        if isinstance(wish, Publishing):
            self.unpublish(wish.stream_index)
        else:
            self.unwatch(wish.user_id, wish.stream_index)

    # Watching.

    def watch(
        self,
        member: Member,
        kinds: set[StreamKind],
        stream_index: int,
        sink: Sink | None,
    ) -> "Deferred[Watching]":
        """Subscribe, in place of what watches that stream; fails with `Refused`."""
        if stream_index not in range(STREAM_INDEXES) or not kinds:
            raise Refused(ResultCode.FUNCOPTERROR)
        watching = Watching(member, stream_index, kinds)
        self._media()
        self.unwatch(member.user_id, stream_index)
        watching.sink = sink or EventSink(self._events, watching)
        self._watch(watching)
        return watching.ready

    def _watch(self, watching: Watching) -> None:
        self._watching[watching.user_id, watching.stream_index] = watching
        self._subscribe(watching, watching.kinds)

    def unwatch(self, user_id: int, stream_index: int) -> None:
        """End the subscription; nothing if there is none."""
        for missing in tuple(self._missing):
            if (missing.user_id, missing.stream_index) == (user_id, stream_index):
                self._missing.remove(missing)
                missing.withdraw()
        watching = self._watching.pop((user_id, stream_index), None)
        if watching is None:
            return
        for kind in sorted(watching.kinds):
            self._retire(watching, kind)
            self._tell(control(user_id, kind, stream_index, False))
        watching.withdraw()

    def _subscribe(self, watching: Watching, kinds: Iterable[StreamKind]) -> None:
        self._conclude(
            watching,
            gatherResults(
                [
                    self._request(
                        control(watching.user_id, kind, watching.stream_index, True)
                    ).addCallback(checked, Result)
                    for kind in sorted(kinds)
                ],
                consumeErrors=True,
            ).addErrback(lambda failure: failure.value.subFailure),
        )

    def granted(self, granted: StreamGranted) -> None:
        """StreamGranted: receive it."""
        key = granted.user_id, granted.stream_index
        watching = self._watching.get(key)
        if watching is None or granted.kind not in watching.kinds:
            # The subscription was ended while this was on its way.
            return
        current = watching.receiving.get(granted.kind)
        if current is not None and current[0].ssrc == granted.ssrc:
            return
        try:
            self._retire(watching, granted.kind)
            reception = self._media().receive(granted, watching.sink)
        except AnyChatError as error:
            self._say(f"Stream cannot be received: {error}")
            code = error.code if isinstance(error, Refused) else None
            self._events.on_sdk_warning(code or ResultCode.UNSUPPORTCODEC)
            return
        watching.receiving[granted.kind] = granted, reception
        self._events.on_stream_granted(
            granted.user_id, granted.kind, granted.stream_index
        )

    def layer_granted(self, granted: LayerGranted) -> None:
        """LayerGranted: what is received may come in a smaller layer too."""
        watching = self._watching.get((granted.user_id, granted.stream_index))
        if watching is None:
            return
        current = watching.receiving.get(StreamKind.VIDEO)
        if current is not None and current[0].ssrc == granted.stream_ssrc:
            self._media().receive_layer(granted)

    def ended(self, ended: StreamEnded) -> None:
        """StreamEnded: it is closed, the subscription waits for the next one."""
        watching = self._watching.get((ended.user_id, ended.stream_index))
        if watching is None:
            return
        current = watching.receiving.get(ended.kind)
        if current is not None and current[0].ssrc == ended.ssrc:
            self._retire(watching, ended.kind)

    def _retire(self, watching: Watching, kind: StreamKind) -> None:
        if kind in watching.receiving and watching.retire(kind, self._media()):
            self._events.on_stream_ended(watching.user_id, kind, watching.stream_index)

    def user_left(self, user_id: int) -> None:
        """A member left the room, which ends its subscriptions at the server."""
        for watching in tuple(self._watching.values()):
            if watching.user_id == user_id:
                del self._watching[user_id, watching.stream_index]
                for kind in sorted(watching.kinds):
                    self._retire(watching, kind)
                watching.withdraw(ResultCode.INVALID_USERID)

    # The room and the session under all that.

    def suspend(self) -> None:
        """The server holds nothing of it any more; the wishes stay."""
        self._membership += 1
        for publishing in self.publications:
            publishing.halt()
        for watching in tuple(self._watching.values()):
            for kind in sorted(watching.kinds):
                self._retire(watching, kind)
        self._missing += self._watching.values()
        self._watching.clear()

    def forget(self, code: ResultCode = ResultCode.CANCEL) -> None:
        """The room was left: the wishes end with it."""
        self.suspend()
        wishes = (*self.publications, *self._missing)
        self._publishing.clear()
        self._missing.clear()
        for wish in wishes:
            wish.withdraw(code)

    def restore(self, members: Mapping[int, Member]) -> None:
        """The room was entered anew: publish and watch again.

        :param members: who is there; who comes later follows with `follow`.
        """
        for publishing in self.publications:
            self._open(publishing)
        self.follow(members)

    def follow(self, members: Mapping[int, Member]) -> None:
        """Watch again those who are there (again).

        A user is the same one if id and name are.  A server that was started
        anew gives its ids anew, so that after a new login a user is also known
        by his name, where nobody else in the room has it.
        """
        for watching in tuple(self._missing):
            same = members.get(watching.user_id)
            if same is None or same.nickname != watching.nickname:
                named = [
                    member
                    for member in members.values()
                    if member.nickname == watching.nickname
                ]
                if len(named) != 1:
                    continue
                (same,) = named
            self._missing.remove(watching)
            if (same.user_id, watching.stream_index) in self._watching:
                # The program has asked for it itself.
                watching.withdraw()
                continue
            watching.user_id = same.user_id
            self._watch(watching)

    def repair(
        self,
        published: Iterable[PublishedStream],
        subscriptions: Iterable[Subscription],
        open_streams: Callable[[int], Iterable[tuple[StreamKind, int]]],
    ) -> None:
        """RESYNC: make the server's state and the wishes agree.

        :param open_streams: the streams that a member has open now.
        """
        held = {(item.stream_index, item.kind): item.ssrc for item in published}
        for publishing in self.publications:
            index, opened = publishing.stream_index, tuple(publishing.opened.items())
            lost = [
                kind for kind, ssrc in opened if held.pop((index, kind), None) != ssrc
            ]
            for kind in lost:
                publishing.close(kind)
            if lost:
                self._open(publishing)
        for index, kind in held:
            # Streams of a publication that is just being opened come with its
            # reply; the others are nobody's.
            if index not in self._publishing:
                self._tell(CloseStream(kind, index))
        subscribed = {(s.user_id, s.stream_index, s.kind) for s in subscriptions}
        for watching in tuple(self._watching.values()):
            if watching.withdrawn:
                continue
            user_id, index = watching.user_id, watching.stream_index
            missing = [
                kind
                for kind in watching.kinds
                if (user_id, index, kind) not in subscribed
            ]
            for kind in sorted(watching.kinds):
                subscribed.discard((user_id, index, kind))
                if (kind, index) not in open_streams(user_id):
                    self._retire(watching, kind)
            if missing:
                self._subscribe(watching, missing)
        for user_id, index, kind in sorted(subscribed):
            self._tell(control(user_id, kind, index, False))

    def _tell(self, message: Message) -> None:
        """A request whose outcome changes nothing here."""
        self._request(message).addErrback(lambda failure: None)
