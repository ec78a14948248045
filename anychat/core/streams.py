"""Publications: cameras and microphones, opened and closed.

A publication hangs on its owner's membership in a room and ends with it.  Each
one, a stream opened anew included, has an SSRC of its own, so that no key ever
serves twice.
"""

from anychat.codecs import by_payload_type
from anychat.codes import ResultCode, StreamKind
from anychat.core.changes import (
    Change,
    LayerOpened,
    PublicationClosed,
    PublicationOpened,
)
from anychat.core.commands import SessionMessage
from anychat.core.effects import CloseRoute, OpenRoute
from anychat.core.state import Membership, Publication, Room, Session, State
from anychat.core.subscriptions import STREAM_INDEXES, ended, join
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import SessionId
from anychat.messages import (
    CameraState,
    CloseStream,
    Member,
    MicStateChange,
    OpenStream,
    OpenStreamInfo,
    Result,
    StreamFormat,
)

#: Streams of both kinds that one user may have open.
MAX_PUBLICATIONS = 16

# What a format may say.  A bit rate of 0 is AnyChat's quality mode.
_BITRATES = range(100_000_001)
_SIDES = range(2, 8193)
_FRAME_RATES = range(1, 121)
_CHANNELS = range(1, 9)
_MAX_CONFIG = 1024


def is_sane(kind: StreamKind, form: StreamFormat) -> bool:
    """Whether a format may be published as that kind of stream."""
    codec = by_payload_type(form.payload_type)
    if (
        codec is None
        or codec.kind is not kind
        or form.clock_rate not in codec.clock_rates
        or form.bitrate not in _BITRATES
        or len(form.config) > _MAX_CONFIG
    ):
        return False
    if kind is StreamKind.VIDEO:
        return (
            form.width in _SIDES
            and form.height in _SIDES
            and form.fps in _FRAME_RATES
            and form.channels == 0
        )
    return form.channels in _CHANNELS and form.width == form.height == form.fps == 0


def open_stream(
    turn: Turn, asker: Session, command: SessionMessage, message: OpenStream
) -> None:
    """Open a camera or a microphone, or open it anew under another SSRC."""
    room = turn.state.room_of(asker)
    membership = room.members[asker.id]
    if not asker.secure:
        raise Refused(ResultCode.FUNCNOTALLOW)
    if message.stream_index not in STREAM_INDEXES or not is_sane(
        message.kind, message.format
    ):
        raise Refused(ResultCode.FUNCOPTERROR)
    old = membership.published.get((message.kind, message.stream_index))
    if old is None and len(membership.published) >= MAX_PUBLICATIONS:
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    if not command.request:
        # The answer is what carries the key: without one nothing can be sent.
        return
    if not command.ssrc:
        raise LocalError("OpenStream came without a fresh SSRC")
    publication = Publication(
        message.kind, message.stream_index, command.ssrc, message.format
    )
    turn.changes.append(
        PublicationOpened(
            asker.id,
            publication.kind,
            publication.stream_index,
            publication.ssrc,
            publication.format,
        )
    )
    if old is not None:
        _end(turn, asker, membership, old)
    turn.effects.append(
        OpenRoute(
            asker.id,
            command.request,
            publication.ssrc,
            publication.kind,
            publication.format,
        )
    )
    if old is None:
        _tell_others(turn, asker, room, publication, is_open=True)
    for watcher in watchers(membership, publication):
        turn.effects.append(join(watcher, asker.user_id, publication))


def close_stream(
    turn: Turn, asker: Session, command: SessionMessage, message: CloseStream
) -> None:
    """Close a camera or a microphone; that it is closed already is no error."""
    room = turn.state.room_of(asker)
    membership = room.members[asker.id]
    if message.stream_index not in STREAM_INDEXES:
        raise Refused(ResultCode.FUNCOPTERROR)
    publication = membership.published.get((message.kind, message.stream_index))
    if publication is not None:
        turn.changes.append(
            PublicationClosed(asker.id, message.kind, message.stream_index)
        )
        _end(turn, asker, membership, publication)
        _tell_others(turn, asker, room, publication, is_open=False)
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def close_routes(turn: Turn, asker: Session, room: Room) -> None:
    """Close the routes of all that a member publishes."""
    membership = room.members[asker.id]
    for publication in membership.published.values():
        _end(turn, asker, membership, publication)


def _end(
    turn: Turn, owner: Session, membership: Membership, publication: Publication
) -> None:
    turn.effects.append(CloseRoute(publication.ssrc))
    if publication.layer is not None:
        turn.effects.append(CloseRoute(publication.layer.ssrc))
    turn.send(watchers(membership, publication), ended(owner.user_id, publication))


def watchers(membership: Membership, publication: Publication) -> tuple[SessionId, ...]:
    """Who is subscribed to that stream."""
    return tuple(
        membership.watchers.get((publication.kind, publication.stream_index), ())
    )


def _tell_others(
    turn: Turn, owner: Session, room: Room, publication: Publication, *, is_open: bool
) -> None:
    state = CameraState if publication.kind is StreamKind.VIDEO else MicStateChange
    turn.send(
        room.others(owner.id),
        state(owner.user_id, publication.stream_index, is_open),
    )


def _apply_opened(state: State, change: PublicationOpened) -> None:
    membership = _membership(state, change.session)
    membership.published[change.kind, change.stream_index] = Publication(
        change.kind, change.stream_index, change.ssrc, change.format
    )
    _refresh_member(membership)


def _apply_closed(state: State, change: PublicationClosed) -> None:
    membership = _membership(state, change.session)
    del membership.published[change.kind, change.stream_index]
    _refresh_member(membership)


def _membership(state: State, session: SessionId) -> Membership:
    return state.room_of(state.sessions[session]).members[session]


def _refresh_member(membership: Membership) -> None:
    member = membership.member
    membership.member = Member(
        member.user_id,
        member.level,
        member.nickname,
        tuple(OpenStreamInfo(*stream) for stream in sorted(membership.published)),
    )


def snapshot(room: Room, session: Session) -> list[Change]:
    """The changes that bring a member's publications back."""
    changes: list[Change] = []
    for publication in room.members[session.id].published.values():
        changes.append(
            PublicationOpened(
                session.id,
                publication.kind,
                publication.stream_index,
                publication.ssrc,
                publication.format,
            )
        )
        layer = publication.layer
        if layer is not None:
            changes.append(
                LayerOpened(
                    session.id, publication.stream_index, layer.ssrc, layer.format
                )
            )
    return changes


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {OpenStream: open_stream, CloseStream: close_stream}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    PublicationOpened: _apply_opened,
    PublicationClosed: _apply_closed,
}
