"""What the console tool reports at its end: what was sent, and received of whom."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from anychat.client.wishes import Publishing, Totals, Watching
from anychat.codes import StreamKind


def published_streams(publishings: Iterable[Publishing]) -> list[dict[str, Any]]:
    """One object for each stream that was published."""
    return [
        {
            "stream_index": publishing.stream_index,
            "kind": kind,
            **asdict(publishing.statistics(kind)),
        }
        for publishing in publishings
        for kind in publishing.kinds
    ]


def totals_of(watchings: Iterable[Watching], kind: StreamKind) -> Totals:
    """The sum over several watchings of the same user."""
    totals = Totals()
    for watching in watchings:
        totals.add(watching.statistics(kind))
    return totals


def _figures(totals: Totals) -> dict[str, Any]:
    figures = asdict(totals)
    if totals.first_frame_ms is not None:
        figures["first_frame_ms"] = round(totals.first_frame_ms, 1)
    return figures


def watched_users(
    watchings: Iterable[Watching], files: Mapping[Watching, list[str]]
) -> list[dict[str, Any]]:
    """One object for each watched user, in the order they were first watched.

    A user who came back, or was watched again after a new login, is one user
    as long as his id and name stayed the same.

    :param files: where the streams were saved.
    """
    users: dict[tuple[int, str, int], list[Watching]] = {}
    for watching in watchings:
        key = watching.user_id, watching.nickname, watching.stream_index
        users.setdefault(key, []).append(watching)
    return [
        {
            "user_id": user_id,
            "nickname": nickname,
            "stream_index": stream_index,
            **_figures(totals_of(group, StreamKind.VIDEO)),
            "audio": _figures(totals_of(group, StreamKind.AUDIO)),
            "files": [path for item in group for path in files.get(item, [])],
        }
        for (user_id, nickname, stream_index), group in users.items()
    ]


def user_line(user: dict[str, Any]) -> str:
    """The same for people, in one line."""

    def stream(totals: dict[str, Any]) -> str:
        text = (
            f"{totals['frames_decoded']} frames, {totals['packets']} packets, "
            f"{totals['lost']} lost, {totals['repaired']} repaired"
        )
        if totals["first_frame_ms"] is not None:
            text += f", first frame after {round(totals['first_frame_ms'])} ms"
        return text

    line = (
        f"{user['nickname']} ({user['user_id']}): video {stream(user)}; "
        f"audio {stream(user['audio'])}"
    )
    for path in user["files"]:
        line += f"; saved as {path}"
    return line
