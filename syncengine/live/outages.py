"""How long the target has not been usable, and when to spool instead of waiting."""

from __future__ import annotations

import threading
import time

from syncengine.connectors.base import Connector
from syncengine.errors import EngineError, OutageError
from syncengine.ports import Control, LegMode


class TargetOutage(OutageError):
    """The target cannot be used now; the source may well be fine."""

    code = "target_outage"

    def __init__(self, cause: EngineError) -> None:
        super().__init__(
            cause.message, code=cause.code, details=cause.details, remote=cause.remote
        )
        self.cause = cause


class Outage:
    """The present outage of the target, if there is one."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._since: float | None = None
        self._spooled = False
        self.reason = ""

    @property
    def present(self) -> bool:
        """True while the target does not work."""
        return self._since is not None

    def note(self, error: EngineError) -> None:
        """The target failed (again)."""
        self.reason = error.message
        if self._since is None:
            self._since = time.monotonic()

    def over(self) -> None:
        """The target works."""
        self._since = None
        self._spooled = False

    def spooled(self, *, answered: bool) -> None:
        """Changes have been spooled: where the target does not work all the same after
        it has `answered`, go on so at once."""
        self._spooled = True
        if answered:
            self._since = None

    def spool_due(self, unconfirmed_bytes: int | None) -> bool:
        """True when the outage has lasted, or the source's log has grown, enough."""
        if self._since is None:
            return False
        if self._spooled or self._nothing_waits():
            return True
        budget = self._control.budget()
        if time.monotonic() - self._since >= budget.spool_after_seconds:
            return True
        return unconfirmed_bytes is not None and unconfirmed_bytes >= budget.spool_bytes

    def _nothing_waits(self) -> bool:
        """True when all changes are queued in any case, as while maps are paused."""
        modes = {leg.mode for leg in self._control.configuration().legs}
        modes.discard(LegMode.OFF)
        return bool(modes) and LegMode.LIVE not in modes


class Probe:
    """A thread that tries to reach the target now and then; waiting for a host that
    is gone must not keep anybody from receiving."""

    def __init__(self, target: Connector, link: str, every_seconds: float) -> None:
        self._target = target
        self._link = link
        self._every = every_seconds
        self._end = threading.Event()
        self.answered = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dualwrite probe", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; one that waits for a dead host is left to itself."""
        self._end.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._end.wait(self._every):
            try:
                writer = self._target.writer(self._link)
                try:
                    writer.position()
                finally:
                    writer.close()
            except EngineError:
                continue
            self.answered.set()
            return
