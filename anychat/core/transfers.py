"""Transfers: which tasks there are, between whom, and how they end.

A task goes from one session to another; either end may be the server itself.
The content never comes here: effects say who may send it to whom
(`StartTransfer`, `StopTransfer`), and commands say what became of an end that
the server holds (`TransferFinished`).

::

    BeginTransfer, or a first portion of a business server   -> under way
    EndTransfer of either end, TransferFinished, an end's
    session is over                                          -> gone
"""

from collections.abc import Iterator

from anychat.business_messages import (
    Answer,
    FetchFile,
    OnTransBufferEx,
    OnTransFile,
    TransBufferEx,
    TransFile,
)
from anychat.codes import BUSINESS_SERVER, ResultCode, TransferKind
from anychat.core.changes import (
    Change,
    TransferAdded,
    TransferIdsGiven,
    TransferRemoved,
)
from anychat.core.commands import (
    BufferPortion,
    FilterCall,
    SessionMessage,
    TransferFinished,
)
from anychat.core.effects import (
    FeedTransfer,
    OfferPortion,
    ReadStored,
    ResumeTransfers,
    StartTransfer,
    StopTransfer,
    SuspendTransfers,
    Tell,
)
from anychat.core.state import Session, State, Transfer
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import SessionId, UserId
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    Result,
    TransferBegun,
    TransferEnded,
    TransferOffered,
    TransferTasks,
)

#: Bytes of a TransBufferEx at most.
MAX_BUFFER_EX = 1 << 20

#: Tasks that a session may have under way as sender, and as receiver.
MAX_SENDING = 1024
MAX_RECEIVING = 4096

#: Tasks under way in all: some 7 KB each at most, by names and user strings.
MAX_TRANSFERS = 32_768

#: Tasks of a sender where half of what a receiver or all may have is used up, so that
#: a few cannot take everything.
FEW_SENDING = 64

#: Tasks of business servers under way in all.
MAX_OF_BUSINESS = 256

#: Bytes of a file's name in UTF-8.
MAX_FILE_NAME = 1024

#: Numbers of tasks are 32 bits, and 0 means none.
_MODULUS = 1 << 32


def begin(
    turn: Turn, asker: Session, command: SessionMessage, message: BeginTransfer
) -> None:
    """A client wants to send something."""
    state = turn.state
    _check_length(turn, message.kind, message.length)
    if not message.guid:
        raise Refused(ResultCode.INVALIDGUID)
    sink: SessionId | None = None
    if message.target == BUSINESS_SERVER:
        if message.kind is TransferKind.BUFFER and not state.attended:
            raise Refused(ResultCode.SERVERSDK_FAIL)
    elif message.target == asker.user_id:
        raise Refused(ResultCode.FUNCOPTERROR)
    else:
        sink = _receiver(state, message.target).id
    most = FEW_SENDING if _is_crowded(state, sink) else MAX_SENDING
    if len(asker.sending) >= most or message.guid in asker.sending:
        raise Refused(ResultCode.TRANSBUF_CREATEFAIL)
    transfer = Transfer(
        id=_fresh(state),
        kind=message.kind,
        guid=message.guid,
        source=asker.id,
        source_id=asker.user_id,
        sink=sink,
        target_id=UserId(message.target),
        file_name=message.file_name,
        length=message.length,
        wparam=message.wparam,
        lparam=message.lparam,
        flags=message.flags,
        text=message.text,
    )
    turn.changes.append(TransferAdded(transfer))
    turn.reply(
        asker.id, command.request, TransferBegun(ResultCode.SUCCESS, transfer.id)
    )
    _start(turn, transfer)


def end(
    turn: Turn, asker: Session, command: SessionMessage, message: EndTransfer
) -> None:
    """One of the ends has done with a task, well or not."""
    transfer = turn.state.transfers.get(message.task_id)
    if transfer is None or asker.id not in (transfer.source, transfer.sink):
        raise Refused(_no_task(message.kind))
    if asker.id == transfer.source and message.code == ResultCode.SUCCESS:
        raise Refused(ResultCode.FUNCOPTERROR)
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))
    _finish(turn, transfer, message.code, by=asker.id)


def finished(turn: Turn, command: TransferFinished) -> None:
    """The server's own end of a task has done with it, or its end must come."""
    transfer = turn.state.transfers.get(command.task_id)
    if transfer is None:
        return
    _finish(turn, transfer, command.code)
    if command.code != ResultCode.SUCCESS or transfer.sink is not None:
        return
    if transfer.kind is not TransferKind.BUFFER:
        turn.effects.append(
            Tell(
                OnTransFile(
                    transfer.source_id,
                    transfer.file_name,
                    command.path,
                    transfer.length,
                    transfer.wparam,
                    transfer.lparam,
                    transfer.id,
                )
            )
        )


def portion(turn: Turn, command: BufferPortion) -> None:
    """A buffer for the business server is there; it takes one portion at a time."""
    transfer = turn.state.transfers.get(command.task_id)
    if transfer is None or transfer.sink is not None:
        return
    event = OnTransBufferEx(
        transfer.source_id,
        transfer.wparam,
        transfer.lparam,
        transfer.id,
        transfer.length,
        command.offset,
        command.data,
    )
    turn.effects.append(OfferPortion(transfer.id, event))


# What a business server wants.


def trans_buffer_ex(turn: Turn, call: TransBufferEx) -> Answer:
    """A portion of a buffer for a user; the first one begins the task."""
    if call.task_id == 0:
        return _begin_fed(turn, call, TransferKind.BUFFER, "")
    return _feed(turn, call, TransferKind.BUFFER)


def trans_file(turn: Turn, call: TransFile) -> Answer:
    """A portion of a file for a user; the first one begins the task."""
    if call.task_id == 0:
        return _begin_fed(turn, call, TransferKind.FILE, call.file_name)
    return _feed(turn, call, TransferKind.FILE)


def fetch_file(turn: Turn, command: FilterCall, call: FetchFile) -> None:
    """A portion of a file that was stored: only the shell can answer that."""
    turn.effects.append(
        ReadStored(command.number, call.task_id, call.offset, call.size)
    )


def _begin_fed(
    turn: Turn, call: TransBufferEx | TransFile, kind: TransferKind, file_name: str
) -> Answer:
    state = turn.state
    _check_length(turn, kind, call.length)
    sink = _receiver(state, call.user_id)
    if state.fed_transfers >= MAX_OF_BUSINESS:
        raise Refused(ResultCode.TRANSBUF_CREATEFAIL)
    if (
        call.offset
        or not 1 <= len(call.data) <= call.length
        or len(file_name.encode("utf-8", "replace")) > MAX_FILE_NAME
    ):
        raise Refused(ResultCode.FUNCOPTERROR)
    task_id = _fresh(state)
    transfer = Transfer(
        id=task_id,
        kind=kind,
        guid=f"business-{task_id}",
        source=None,
        source_id=UserId(BUSINESS_SERVER),
        sink=sink.id,
        target_id=sink.user_id,
        file_name=file_name,
        length=call.length,
        wparam=_signed(call.wparam),
        lparam=_signed(call.lparam),
        flags=call.flags % _MODULUS,
        text="",
    )
    turn.changes.append(TransferAdded(transfer))
    _start(turn, transfer)
    turn.effects.append(FeedTransfer(task_id, 0, call.data))
    return Answer(ResultCode.SUCCESS, task_id=task_id)


def _feed(turn: Turn, call: TransBufferEx | TransFile, kind: TransferKind) -> Answer:
    transfer = turn.state.transfers.get(call.task_id)
    if transfer is None or transfer.source is not None or transfer.kind is not kind:
        raise Refused(_no_task(kind))
    if (
        not call.data
        or call.length != transfer.length
        or call.offset + len(call.data) > transfer.length
    ):
        raise Refused(ResultCode.FUNCOPTERROR)
    turn.effects.append(FeedTransfer(transfer.id, call.offset, call.data))
    return Answer(ResultCode.SUCCESS, task_id=transfer.id)


# What happens to sessions.


def give_up(turn: Turn, session: Session) -> None:
    """The session ends, and its tasks with it."""
    for transfer in _of(turn.state, session):
        code = (
            ResultCode.TRANSBUF_NOTASK
            if transfer.kind is TransferKind.BUFFER
            else ResultCode.TRANSFILE_FAILED
        )
        _finish(turn, transfer, code, by=session.id)


def suspend(turn: Turn, session: Session) -> None:
    """The session's link is gone: nothing can come of it or go there."""
    if session.sending or session.receiving:
        turn.effects.append(SuspendTransfers(session.id))


def resume(turn: Turn, session: Session, *, resync: bool) -> None:
    """The session has a link again: its tasks go on."""
    if resync:
        ids = tuple(transfer.id for transfer in _of(turn.state, session))
        turn.send((session.id,), TransferTasks(ids))
        for task_id in session.receiving:
            _offer(turn, turn.state.transfers[task_id])
    if session.sending or session.receiving:
        turn.effects.append(ResumeTransfers(session.id))


# The rest.


def _of(state: State, session: Session) -> Iterator[Transfer]:
    for task_id in (*session.sending.values(), *session.receiving):
        yield state.transfers[task_id]


def _check_length(turn: Turn, kind: TransferKind, length: int) -> None:
    if kind is TransferKind.BUFFER:
        if not 1 <= length <= MAX_BUFFER_EX:
            raise Refused(ResultCode.FUNCOPTERROR)
    elif not length:
        raise Refused(ResultCode.TRANSFILE_ZEROLEN)
    elif length > turn.settings.max_file_size:
        raise Refused(ResultCode.TRANSFILE_TOOLARGE)


def _receiver(state: State, user_id: int) -> Session:
    """Who is to get it.

    :raises Refused: 205 he is not there, 700 he gets too much already.
    """
    session = state.session_of(user_id)
    if session is None:
        raise Refused(ResultCode.INVALID_USERID)
    if len(session.receiving) >= MAX_RECEIVING:
        raise Refused(ResultCode.TRANSBUF_CREATEFAIL)
    return session


def _is_crowded(state: State, sink: SessionId | None) -> bool:
    return len(state.transfers) >= MAX_TRANSFERS // 2 or (
        sink is not None and len(state.sessions[sink].receiving) >= MAX_RECEIVING // 2
    )


def _fresh(state: State) -> int:
    """The number of a new task.

    :raises Refused: 700 there are too many.
    """
    if len(state.transfers) >= MAX_TRANSFERS:
        raise Refused(ResultCode.TRANSBUF_CREATEFAIL)
    task_id = state.next_transfer
    while task_id in state.transfers:
        task_id = task_id + 1 if task_id + 1 < _MODULUS else 1
    return task_id


def _start(turn: Turn, transfer: Transfer) -> None:
    turn.effects.append(StartTransfer(transfer))
    _offer(turn, transfer)


def _offer(turn: Turn, transfer: Transfer) -> None:
    if transfer.sink is not None:
        turn.send(
            (transfer.sink,),
            TransferOffered(
                transfer.id,
                transfer.source_id,
                transfer.kind,
                transfer.guid,
                transfer.file_name,
                transfer.length,
                transfer.wparam,
                transfer.lparam,
                transfer.flags,
                transfer.text,
            ),
        )


def _finish(
    turn: Turn, transfer: Transfer, code: ResultCode, by: SessionId | None = None
) -> None:
    """End a task and tell whoever does not know it yet."""
    turn.changes.append(TransferRemoved(transfer.id))
    turn.effects.append(StopTransfer(transfer.id, code))
    for end in transfer.source, transfer.sink:
        if end is not None and end != by:
            turn.send((end,), TransferEnded(transfer.id, code))


def _signed(word: int) -> int:
    """32 bits, which business servers may say with or without a sign."""
    return (word + _MODULUS // 2) % _MODULUS - _MODULUS // 2


def _no_task(kind: TransferKind) -> ResultCode:
    if kind is TransferKind.BUFFER:
        return ResultCode.TRANSBUF_NOTASK
    return ResultCode.TRANSFILE_NOTASK


def _apply_added(state: State, change: TransferAdded) -> None:
    transfer = change.transfer
    if transfer.id in state.transfers:
        raise LocalError(f"transfer {transfer.id} is there already")
    if transfer.source is not None:
        state.sessions[transfer.source].sending[transfer.guid] = transfer.id
    else:
        state.fed_transfers += 1
    if transfer.sink is not None:
        state.sessions[transfer.sink].receiving[transfer.id] = None
    state.transfers[transfer.id] = transfer
    state.next_transfer = transfer.id + 1 if transfer.id + 1 < _MODULUS else 1


def _apply_removed(state: State, change: TransferRemoved) -> None:
    transfer = state.transfers.pop(change.task_id)
    if transfer.source is not None:
        del state.sessions[transfer.source].sending[transfer.guid]
    else:
        state.fed_transfers -= 1
    if transfer.sink is not None:
        del state.sessions[transfer.sink].receiving[transfer.id]


def _apply_ids_given(state: State, change: TransferIdsGiven) -> None:
    state.next_transfer = change.next_transfer


def snapshot(state: State) -> list[Change]:
    """The changes that bring the tasks back, after the sessions."""
    changes: list[Change] = [
        TransferAdded(transfer) for transfer in state.transfers.values()
    ]
    changes.append(TransferIdsGiven(state.next_transfer))
    return changes


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {BeginTransfer: begin, EndTransfer: end}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {TransferFinished: finished, BufferPortion: portion}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    TransferAdded: _apply_added,
    TransferRemoved: _apply_removed,
    TransferIdsGiven: _apply_ids_given,
}
