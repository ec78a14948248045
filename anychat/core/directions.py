"""What the flags of a video call forbid its parties to send to one another."""

from anychat.codes import StreamKind, VideoCallFlag
from anychat.core.state import Session, State, VideoCall
from anychat.ids import SessionId

#: By whether it is the caller's, and by its kind.
_FLAGS = {
    (True, StreamKind.AUDIO): VideoCallFlag.FORBID_SOURCE_AUDIO,
    (True, StreamKind.VIDEO): VideoCallFlag.FORBID_SOURCE_VIDEO,
    (False, StreamKind.AUDIO): VideoCallFlag.FORBID_TARGET_AUDIO,
    (False, StreamKind.VIDEO): VideoCallFlag.FORBID_TARGET_VIDEO,
}


def forbids(call: VideoCall, owner: SessionId, kind: StreamKind) -> bool:
    """Whether the other party may not get that kind of stream of this one."""
    return bool(call.flags & _FLAGS[owner == call.caller, kind])


def is_forbidden(
    state: State, owner: Session, watcher: Session, kind: StreamKind
) -> bool:
    """Whether a call that the two are talking in forbids the stream."""
    if owner.call is None or owner.call != watcher.call:
        return False
    call = state.calls[owner.call]
    return call.room_id is not None and forbids(call, owner.id, kind)
