"""Connects the applier's conflicts to the settler."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.conflicts import Contest, Settler
from syncengine.connectors.base import Outcome
from syncengine.live.applying import Settle
from syncengine.live.configuring import Configuration
from syncengine.live.folding import Folded


def settle_with(settler: Settler, configuration: Callable[[], Configuration]) -> Settle:
    """A settle function that finds the opposite leg in the present configuration."""

    def settle(found: Folded, outcome: Outcome) -> frozenset[int] | None:
        operation = found.operation
        item = found.items[-1]
        map_id = item.leg.configuration.map_id
        contest = Contest(
            map_id=map_id,
            leg=operation.leg,
            reverse=configuration().reverse.get(map_id),
            source_key=item.source_key,
            target_key=operation.key,
            columns=outcome.conflicts,
        )
        if not settler.settle(contest):
            return None
        return frozenset(
            conflict.slot for conflict in outcome.conflicts if conflict.slot is not None
        )

    return settle
