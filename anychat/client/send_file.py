"""``anychat-client send-file``: files to a user or the server, and go."""

import sys
from argparse import Namespace
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TextIO

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from anychat.client.client import Client
from anychat.client.join import (
    CANNOT_CONNECT,
    FINE,
    REFUSED,
    exit_code,
    failure_code,
    log_out,
)
from anychat.client.output import Output, code_text
from anychat.client.progress import ProgressBars
from anychat.client.trans_task import TransTask
from anychat.client.transfers import no_files
from anychat.errors import Refused

#: Seconds between two looks at how far it has come; with --json, two objects.
_LOOK, _JSON_LOOK = 0.1, 1.0


class SendFile:
    """The run of the command.

    :param terminal: where progress bars go.
    """

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        make_client: Callable[..., Client] = Client,
        terminal: TextIO | None = None,
    ):
        self._options = options
        self._output = output
        self._complain = complain
        self._clock = reactor
        self._client = make_client(
            reactor,
            trust=options.trust,
            auth_pass=options.auth_pass,
            plain=options.plain,
            log_path=None,
        )
        self._client.transfers.accept = no_files
        self._tasks: list[TransTask] = []
        self._bars = ProgressBars(sys.stdout if terminal is None else terminal)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._began = 0.0
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        self._run().addErrback(self._failed).addCallback(self._end)

    def finish(self, code: int) -> "Deferred[int]":
        """End it early: what has not arrived is given up."""
        for task in self._tasks:
            if not task.over:
                self._client.transfers.cancel(task)
                code = REFUSED
        self._end(code if self._tasks else CANNOT_CONNECT)
        return self.done

    @inlineCallbacks
    def _run(self) -> Generator["Deferred[Any]", Any, int]:
        options, client = self._options, self._client
        host, port = options.address
        yield client.connect(host, port)
        yield client.login(options.user, options.password)
        transfers = client.transfers
        transfers.bitrate_cap = options.limit
        self._began = self._clock.seconds()
        waiting = []
        for path in options.file:
            if options.guid is not None:
                task = transfers.trans_file_ex(
                    options.guid, options.to, Path(path), text=options.text
                )
            else:
                task = transfers.trans_file(options.to, Path(path))
            self._tasks.append(task)
            outcome = task.done()
            outcome.addCallbacks(self._arrived, self._not_sent, errbackArgs=(task,))
            waiting.append(outcome)
        if options.json:
            self._looking.start(_JSON_LOOK, now=False)
        else:
            self._bars.start()
            self._looking.start(_LOOK)
        yield DeferredList(waiting)
        self._stop_looking()
        yield log_out(client, self._clock)
        codes = [task.code for task in self._tasks if task.code]
        return exit_code(codes[0]) if codes else FINE

    def _look(self) -> None:
        for task in self._tasks:
            if not self._options.json:
                self._bars.show(task)
            elif not task.over:
                self._output.object("progress", self._facts(task))

    def _stop_looking(self) -> None:
        if self._looking.running:
            self._looking.stop()
            if not self._options.json:
                self._look()
                self._bars.stop()

    def _facts(self, task: TransTask) -> dict[str, Any]:
        return {
            "file": str(task.path),
            "task_id": task.task_id,
            "guid": task.guid,
            "target": task.user_id,
            "length": task.length,
            "transferred": task.offset,
            "progress": task.progress,
            "bitrate": task.bitrate,
            "status": int(task.status),
            "code": int(task.code),
        }

    def _arrived(self, task: TransTask) -> None:
        if self._options.json:
            self._output.object("file_sent", self._facts(task))

    def _not_sent(self, failure: Failure, task: TransTask) -> None:
        failure.trap(Refused)
        error = failure.value
        if self._options.json:
            self._output.object("file_sent", self._facts(task))
        text = f"{task.path}: {code_text(error.code)}"
        self._complain(f"{text}: {error.reason}" if error.reason else text)

    def _failed(self, failure: Failure) -> int:
        self._stop_looking()
        return failure_code(failure, self._options.address, self._complain)

    def _end(self, code: int) -> None:
        if self.done.called:
            return
        self._stop_looking()
        sent = [task for task in self._tasks if task.over and not task.code]
        length = sum(task.length for task in sent)
        seconds = self._clock.seconds() - self._began
        if self._options.json:
            values = {
                "code": code,
                "files": len(sent),
                "bytes": length,
                "seconds": round(seconds, 3),
            }
            self._output.object("summary", values)
        elif sent:
            noun = "file" if len(sent) == 1 else "files"
            self._output.line(f"{len(sent)} {noun}, {length} bytes in {seconds:.1f} s")
        # Calls that wait fail by this, and come here again.
        self.done.callback(code)
        self._client.close()
