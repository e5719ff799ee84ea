"""Receives ahead: decodes the source's changes while the target is being written.

The thread also answers the source's keepalives, however long a batch takes.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress

from syncengine.connectors.base import ChangeStream, Transaction
from syncengine.errors import EngineError

PORTION_CHANGES = 500
WAIT_SECONDS = 0.05
GATHER_SECONDS = 0.01
AHEAD_SECONDS = 0.2
BATCHES_AHEAD = 2
"""One is routed while the one before is written, the next is received meanwhile."""


class Receiver:
    """A change stream read by a thread of its own; used by one other thread.

    `max_changes` or `max_bytes` are taken at once. Twice as many changes or as many
    bytes wait to be taken, and one portion more.
    With `prompt` every confirmation is told at once. Nothing is ever confirmed but what
    `confirm` was told: a source that remembers more than we noted has a gap.
    """

    def __init__(
        self,
        stream: ChangeStream,
        max_changes: int,
        max_bytes: int,
        *,
        prompt: bool = False,
    ) -> None:
        self._stream = stream
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._waiting: deque[Transaction] = deque()
        self._changes = 0
        self._bytes = 0
        self._more = False
        self._wanted = False
        self._received = stream.seen_position
        self._seen = self._received
        self._confirm = ""
        self._prompt = prompt
        self._progress = False
        self._ask = False
        self._failure: BaseException | None = None
        self._stopping = False
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._thread = threading.Thread(
            target=self._run, name="dualwrite receiver", daemon=True
        )
        self._thread.start()

    @property
    def seen_position(self) -> str:
        """Everything up to here has been taken, or was not for us."""
        return self._seen

    def take(
        self, timeout_seconds: float, *, progress: bool = False
    ) -> list[Transaction]:
        """Whole transactions waiting, up to the limits; waits for the first, and
        while the source has more to tell: full batches cost least. With `progress`,
        returns with none as soon as `seen_position` moves all the same.

        Raises what the stream raised (OutageError), once nothing waits any more.
        """
        with self._changed:
            self._wanted = True
            self._progress = progress
            self._changed.notify_all()
            self._changed.wait_for(self._ready, timeout_seconds)
            self._wanted = self._progress = False
            taken: list[Transaction] = []
            changes = size = 0
            while self._waiting and changes < self._max_changes:
                one = self._waiting.popleft()
                changes += len(one.changes)
                size += one.size
                taken.append(one)
                if size >= self._max_bytes:
                    break
            self._changes -= changes
            self._bytes -= size
            if not self._enough():
                self._room.notify_all()
            if self._waiting:
                self._seen = taken[-1].position
            else:
                self._seen = self._received
            if not taken and self._failure is not None:
                raise self._failure
            self._changed.notify_all()
        return taken

    def upcoming(self) -> list[Transaction]:
        """What `take` would give now, without waiting; it still will."""
        with self._changed:
            found: list[Transaction] = []
            changes = 0
            for one in self._waiting:
                if changes >= self._max_changes:
                    break
                changes += len(one.changes)
                found.append(one)
        return found

    def go_on(self) -> None:
        """The taker waits for the target: the processor is free for what comes next.
        While it works and the next batch is here, receiving more would only slow it."""
        with self._room:
            self._room.notify_all()

    def ahead(self) -> list[Transaction]:
        """What was received and not taken yet; waits a moment where that is nothing."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: bool(self._waiting) or self._failure is not None, AHEAD_SECONDS
            )
            self._wanted = False
            return list(self._waiting)

    def _ready(self) -> bool:
        if self._failure is not None:
            return True
        if self._waiting:
            return not self._more or self._enough()
        return self._progress and self._received != self._seen

    def _enough(self) -> bool:
        return self._changes >= self._max_changes or self._bytes >= self._max_bytes

    def confirm(self, position: str) -> None:
        """Everything up to `position` is safe; told to the source a little later."""
        news = position != self._confirm
        with self._changed:
            self._confirm = position
            if news and self._prompt:
                self._changed.notify_all()
        if news and self._prompt:
            self._stream.wake()

    def ask(self) -> None:
        """Have the source tell its newest position soon."""
        self._ask = True

    def close(self) -> None:
        """End the thread and the stream."""
        self._stopping = True
        with self._changed:
            self._changed.notify_all()
            self._room.notify_all()
        self._thread.join()
        if self._confirm:
            with suppress(EngineError):
                self._stream.confirm(self._confirm)
        self._stream.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._answer()
                if not self._full():
                    self._gather()
                    self._receive()
        except EngineError as error:
            self._failure = error
        except BaseException as error:
            self._failure = error
            raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _answer(self) -> None:
        if self._confirm:
            self._stream.confirm(self._confirm)
        self._stream.keepalive(ask=self._ask)
        self._ask = False

    def _full(self) -> bool:
        """Wait a moment where enough is waiting already."""
        with self._changed:
            much = self._changes >= BATCHES_AHEAD * self._max_changes
            if not much and self._bytes < self._max_bytes:
                return False
            self._room.wait(WAIT_SECONDS)
            return True

    def _gather(self) -> None:
        """While nobody waits, let changes gather: many at once cost less than each as
        it comes. Not where somebody waits for each, nor where many wait already."""
        if self._prompt or self._more:
            return
        with self._changed:
            self._changed.wait_for(
                lambda: self._wanted or self._stopping, GATHER_SECONDS
            )

    def _receive(self) -> None:
        wait = 0.0 if self._more else WAIT_SECONDS
        received = self._stream.receive(PORTION_CHANGES, self._max_bytes, wait)
        with self._changed:
            self._waiting.extend(received)
            changes = sum(len(one.changes) for one in received)
            self._changes += changes
            self._more = changes >= PORTION_CHANGES
            self._bytes += sum(one.size for one in received)
            self._received = self._stream.seen_position
            if self._ready():
                self._changed.notify_all()
