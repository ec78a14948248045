"""Messages about a camera's second layer."""

from anychat.messages import LayerGranted, OpenLayer
from anychat.protocols.formats_fields import I32, U8, U16, U32, fixed, record
from anychat.protocols.formats_session import KEY_SIZE, SALT_KEY_SIZE, STREAM_FORMAT

OPEN_LAYER = record(OpenLayer, "stream_index" / U8, "format" / STREAM_FORMAT)

LAYER_GRANTED = record(
    LayerGranted,
    "user_id" / I32,
    "stream_index" / U8,
    "stream_ssrc" / U32,
    "ssrc" / U32,
    "format" / STREAM_FORMAT,
    "roc" / U32,
    "sequence" / U16,
    "key" / fixed(KEY_SIZE),
    "salt_key" / fixed(SALT_KEY_SIZE),
)
