"""Which transfers stand still though they could go on."""

from collections.abc import Callable, Iterable, Iterator

from anychat.codes import ResultCode
from anychat.ids import SessionId
from anychat.services.transfer_task import LEAST_PROGRESS, Task, gone
from anychat.services.transfer_windows import Windows

#: Seconds without progress after which a task is given up, and between looks.
PATIENCE = 60.0
LOOK = 10.0


class Patience:
    """Waits for tasks that stand still, but not for ever.

    Of a file for the server `LEAST_PROGRESS` must come in `PATIENCE` while others
    wait everywhere: such a task never yields its window, since the file would have
    to be read again.
    """

    def __init__(self, windows: Windows, has_link: Callable[[SessionId], bool]):
        self._windows = windows
        self._has_link = has_link

    def look(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, ResultCode]]:
        """Yield those that are to be given up; call it every `LOOK` seconds."""
        for task in tasks:
            if self._windows.has_to_wait(task):
                continue
            mark = task.taken + task.passed
            if task.hand_over is not None:
                mark += task.hand_over.offset
            if mark - task.mark not in range(self._least(task)) or not self._is_up(
                task
            ):
                task.mark, task.quiet = mark, 0.0
                continue
            task.quiet += LOOK
            if task.quiet < PATIENCE:
                continue
            if task.hand_over is not None:
                yield task, ResultCode.NOENOUGHRESOURCE
            else:
                yield task, gone(task.transfer.kind)

    def _least(self, task: Task) -> int:
        """Bytes that are progress."""
        if task.sink is not None and self._windows.scarce:
            return LEAST_PROGRESS
        return 1

    def _is_up(self, task: Task) -> bool:
        """Whether those of its ends that are clients have links."""
        ends = task.transfer.source, task.transfer.sink
        return all(end is None or self._has_link(end) for end in ends)
