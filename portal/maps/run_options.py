"""How maps are to be run: what is copied, who wins, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portal.refusals import Refusal
from syncengine.mapping.model import Side

DEFAULT_MASTER = Side.DATAVERSE
"""Who wins where both sides hold a key already (spec sync, "Master")."""


@dataclass(frozen=True)
class RunOptions:
    """What an administrator chose for a run.

    `masters` and `skipped` are by map id and go before `master` and
    `skip_initial_sync`. `order` names maps by id in the order their rows are copied;
    maps it does not name keep their place. `without` are maps that `related` must not
    add. With `new_rows_only`, rows the other side has are left alone, and so are
    records with an open error. A leg with more failed records than `error_limit`, or a
    larger share than `error_percent`, ends its run. `approve_filters`: run although a
    new filter leaves out many rows that were carried over before.
    """

    skip_initial_sync: bool = False
    master: Side = DEFAULT_MASTER
    related: bool = False
    masters: Mapping[int, Side] = field(default_factory=dict)
    skipped: frozenset[int] = frozenset()
    order: Sequence[int] = ()
    without: frozenset[int] = frozenset()
    new_rows_only: bool = False
    error_limit: int | None = None
    error_percent: float | None = None
    approve_filters: bool = False

    def __post_init__(self) -> None:
        if self.error_limit is not None and self.error_limit < 0:
            raise Refusal("The number of failed records allowed cannot be negative.")
        if self.error_percent is not None and not 0 <= self.error_percent <= 100:
            raise Refusal("The share of failed records allowed is 0 to 100 per cent.")

    def master_of(self, map_id: int) -> Side:
        """Who wins in the copy of this map."""
        return self.masters.get(map_id, self.master)

    def copies(self, map_id: int) -> bool:
        """Whether this map's rows are copied before it goes live."""
        return not (self.skip_initial_sync or map_id in self.skipped)

    def places(self, usual: Mapping[int, int]) -> dict[int, int]:
        """Every map's place by id: the maps of `order` share out their usual places
        as they were ordered."""
        chosen = [map_id for map_id in dict.fromkeys(self.order) if map_id in usual]
        places = sorted(usual[map_id] for map_id in chosen)
        return {**usual, **dict(zip(chosen, places, strict=True))}
