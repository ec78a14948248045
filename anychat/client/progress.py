"""A progress bar for each task, on a terminal."""

from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from anychat.client.log import printable
from anychat.client.trans_task import TransTask


class ProgressBars:
    """Shows how far transfers have come; nothing where there is no terminal.

    A terminal may go at any time, which ends the showing and nothing else.
    """

    def __init__(self, stream: TextIO):
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream),
            auto_refresh=False,
        )
        self._bars: dict[TransTask, TaskID] = {}

    def start(self) -> None:
        """Begin to show."""
        if self._progress.console.is_terminal:
            with suppress(OSError):
                self._progress.start()

    def show(self, task: TransTask) -> None:
        """Show how far a task has come by now."""
        if task not in self._bars:
            name = printable(task.file_name)
            self._bars[task] = self._progress.add_task(name, total=task.length)
        self._progress.update(self._bars[task], completed=task.offset)
        if self._progress.live.is_started:
            with suppress(OSError):
                self._progress.refresh()

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._progress.live.is_started:
            with suppress(OSError):
                self._progress.stop()
