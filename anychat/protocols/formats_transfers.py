"""Messages of transfers: buffers and files, in chunks.

Types 70 to 84.  Those in `UNNUMBERED` carry no number of the session and are
not replayed: chunks have offsets, and what was taken is said again after a
lost link.  Both sides read and write these by ``transfers.chunks``, since
construct is too slow for them; the declarations here say the same bytes.
"""

from construct import Int64ub

from anychat.codes import TransferKind
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    TransferBegun,
    TransferData,
    TransferEnded,
    TransferGrant,
    TransferOffered,
    TransferPortion,
    TransferTaken,
    TransferTasks,
)
from anychat.protocols.formats_fields import (
    FLAG,
    I32,
    U8,
    U32,
    checked,
    enumerated,
    fixed,
    line,
    octets,
    record,
    sequence,
    text,
)
from anychat.protocols.formats_link import CODE

#: Bytes of content in a chunk; as in ``transfers.chunks``.
CHUNK_MAXIMUM = 57344
#: Longest name of a file as the sender has it, in bytes of UTF-8.
FILE_NAME_MAXIMUM = 1024
#: Longest user string of a TransFileEx, in bytes of UTF-8.
USER_STRING_MAXIMUM = 4096
#: Longest GUID of a task.
GUID_MAXIMUM = 64
#: Tasks that a session may have, as sender and as receiver together.
TASKS_MAXIMUM = 8192

U64 = Int64ub
TASK_KIND = enumerated(U8, TransferKind)


def _content(value: bytes) -> bytes:
    if not value:
        raise ValueError("chunk without content")
    return value


CHUNK_DATA = checked(octets(CHUNK_MAXIMUM), _content, _content)

TRANSFER_DATA = record(
    TransferData,
    "task_id" / U32,
    "offset" / U64,
    "digest" / fixed(32),
    "data" / CHUNK_DATA,
)

TRANSFER_PORTION = record(
    TransferPortion,
    "task_id" / U32,
    "offset" / U64,
    "digest" / fixed(32),
    "data" / CHUNK_DATA,
)

TRANSFER_TAKEN = record(
    TransferTaken, "task_id" / U32, "offset" / U64, "restart" / FLAG
)

TRANSFER_GRANT = record(
    TransferGrant,
    "task_id" / U32,
    "offset" / U64,
    "limit" / U64,
    "restart" / FLAG,
)

BEGIN_TRANSFER = record(
    BeginTransfer,
    "target" / I32,
    "kind" / TASK_KIND,
    "guid" / line(GUID_MAXIMUM),
    "file_name" / text(FILE_NAME_MAXIMUM),
    "length" / U64,
    "wparam" / I32,
    "lparam" / I32,
    "flags" / U32,
    "text" / text(USER_STRING_MAXIMUM),
)

TRANSFER_BEGUN = record(TransferBegun, "code" / CODE, "task_id" / U32)

TRANSFER_OFFERED = record(
    TransferOffered,
    "task_id" / U32,
    "source" / I32,
    "kind" / TASK_KIND,
    "guid" / line(GUID_MAXIMUM),
    "file_name" / text(FILE_NAME_MAXIMUM),
    "length" / U64,
    "wparam" / I32,
    "lparam" / I32,
    "flags" / U32,
    "text" / text(USER_STRING_MAXIMUM),
)

END_TRANSFER = record(EndTransfer, "task_id" / U32, "kind" / TASK_KIND, "code" / CODE)

TRANSFER_ENDED = record(TransferEnded, "task_id" / U32, "code" / CODE)

TRANSFER_TASKS = record(TransferTasks, "task_ids" / sequence(U32, TASKS_MAXIMUM))
