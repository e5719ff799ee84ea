"""Routes what was received next while the target works on what was sent last.

Python and the target's server then work at once, which is a quarter of the time of a
stream that catches up. Nothing is promised by it: what was routed ahead is dropped as
soon as anything could have changed what it means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile

from syncengine.connectors.base import Transaction
from syncengine.errors import EngineError
from syncengine.live.legs import LiveLeg
from syncengine.live.routing import Routed, Router


class RoutingAhead:
    """A router that may be told of transactions before their turn."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._legs: Mapping[str, Sequence[LiveLeg]] = {}
        self._found: dict[str, Routed] = {}

    def prepare(self, transactions: Sequence[Transaction]) -> None:
        """Route these ahead, where what is written until their turn cannot matter to
        them. What fails here is met again when its turn comes."""
        self._found = {}
        self._legs = self._router.legs
        plain = list(takewhile(lambda one: not one.large, transactions))
        if self._router.has_errors or self._are_outdated(plain):
            return
        with suppress(EngineError):
            self._found = {one.position: one for one in self._router.route(plain)}

    def route(self, transactions: Sequence[Transaction]) -> list[Routed]:
        """As `Router.route`."""
        found = self._take()
        fresh = [one for one in transactions if not _holds(found, one)]
        routed = iter(self._router.route(fresh))
        return [
            found[one.position] if _holds(found, one) else next(routed)
            for one in transactions
        ]

    def _take(self) -> Mapping[str, Routed]:
        found, self._found = self._found, {}
        if self._legs is not self._router.legs or self._router.has_errors:
            return {}
        return found

    def _are_outdated(self, transactions: Sequence[Transaction]) -> bool:
        """True when a leg reads columns that some of the changes lack."""
        relations = {
            id(change.relation): change.relation
            for transaction in transactions
            for change in transaction.changes
        }
        try:
            return any(
                leg.compiled is not None and leg.layout(relation).lacking
                for relation in relations.values()
                for leg in self._router.legs.get(relation.table, ())
            )
        except EngineError:
            return True


def _holds(found: Mapping[str, Routed], transaction: Transaction) -> bool:
    one = found.get(transaction.position)
    return one is not None and one.transaction is transaction
