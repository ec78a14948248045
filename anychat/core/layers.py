"""Layers: a camera that is published twice, full and small (simulcast).

A layer hangs on an open publication and ends with it.  Watchers are granted
both; which of the two one is sent is the media plane's to say, by what comes
through to him.
"""

from dataclasses import replace

from anychat.codes import ResultCode, StreamKind
from anychat.core.changes import LayerOpened
from anychat.core.commands import SessionMessage
from anychat.core.effects import OpenRoute
from anychat.core.state import Layer, Session, State
from anychat.core.streams import is_sane, watchers
from anychat.core.subscriptions import STREAM_INDEXES, join
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import LocalError, Refused
from anychat.messages import OpenLayer


def open_layer(
    turn: Turn, asker: Session, command: SessionMessage, message: OpenLayer
) -> None:
    """Open the smaller layer of a camera that is open."""
    room = turn.state.room_of(asker)
    membership = room.members[asker.id]
    if not asker.secure:
        raise Refused(ResultCode.FUNCNOTALLOW)
    if message.stream_index not in STREAM_INDEXES or not is_sane(
        StreamKind.VIDEO, message.format
    ):
        raise Refused(ResultCode.FUNCOPTERROR)
    publication = membership.published.get((StreamKind.VIDEO, message.stream_index))
    if publication is None:
        raise Refused(ResultCode.DATANOTEXIST)
    if publication.layer is not None:
        raise Refused(ResultCode.DATAEXIST)
    if message.format.payload_type != publication.format.payload_type:
        # Whoever can decode the one must be able to decode the other.
        raise Refused(ResultCode.FUNCOPTERROR)
    if not command.request:
        # The answer is what carries the key: without one nothing can be sent.
        return
    if not command.ssrc:
        raise LocalError("OpenLayer came without a fresh SSRC")
    layer = Layer(command.ssrc, message.format)
    turn.changes.append(
        LayerOpened(asker.id, message.stream_index, layer.ssrc, layer.format)
    )
    turn.effects.append(
        OpenRoute(
            asker.id,
            command.request,
            layer.ssrc,
            StreamKind.VIDEO,
            layer.format,
            publication.ssrc,
        )
    )
    for watcher in watchers(membership, publication):
        turn.effects.append(
            join(watcher, asker.user_id, replace(publication, layer=layer))
        )


def _apply_opened(state: State, change: LayerOpened) -> None:
    published = (
        state.room_of(state.sessions[change.session]).members[change.session].published
    )
    stream = StreamKind.VIDEO, change.stream_index
    published[stream] = replace(
        published[stream], layer=Layer(change.ssrc, change.format)
    )


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {OpenLayer: open_layer}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {LayerOpened: _apply_opened}
