"""The contract of synchronous mode: a source's commits wait until we are through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from syncengine.mapping.model import HealthFinding


@dataclass(frozen=True, slots=True)
class GateView:
    """What a source says at one moment.

    `armed`: commits wait for our stream. `streaming`: our stream is connected and has
    caught up once. `written` and `through` are places in the source's log: all that is
    written, and what our stream has confirmed (None while it is not connected).
    `waiting` are the commits that wait now, or None where our account may not see
    them; `crossed` those of them for which a writer of ours waits in turn.
    """

    armed: bool
    streaming: bool
    written: int
    through: int | None
    waiting: tuple[str, ...] | None
    crossed: tuple[str, ...] = ()


class CommitGate(Protocol):
    """Makes the commits of a source's users wait for the stream of one link.

    Used by one thread; opens its connection when first needed.
    """

    def findings(self) -> Sequence[HealthFinding]:
        """What keeps the gate from being armed or, worse, from being opened again;
        empty means ready. Changes nothing."""

    def look(self) -> GateView:
        """The present state, in one quick question."""

    def commits_wait(self) -> bool | None:
        """Whether any commit waits now, for us or somebody else; None where our account
        may not see that. Cheaper than `look`."""

    def arm(self) -> None:
        """Have commits wait: once this returns, each that begins does. Whoever was
        waited for already still is. Raises SetupError or OutageError, with nothing
        changed, where that cannot be done, and where our stream is not there."""

    def disarm(self) -> None:
        """Have no commit wait for us, and let go those that do. Harmless twice."""

    def release(self, waiting: Sequence[str]) -> None:
        """Let single commits go, which are then not through yet; their users are
        warned. Those our account may not release keep waiting."""

    def close(self) -> None:
        """Give the connection back."""
