"""Mapped rows of one leg as the target holds them: references for natural keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncengine.connectors.merge import UNRESOLVED
from syncengine.connectors.postgres.lookups import AMBIGUOUS, Wanted
from syncengine.connectors.postgres.statements import LegStatements
from syncengine.mapping.compiled import CompiledLeg, Row

References = Mapping[int, Mapping[Wanted, str]]
"""What was found, by slot: reference of a natural key and the row's company."""

_NOTHING: Mapping[Wanted, str] = {}


class CompanyCache:
    """References of companies by code; forgotten when the target refuses a batch."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, str]] = {}

    def table(self, name: str) -> dict[str, str]:
        """The (shared, growing) references of one companies table."""
        return self._tables.setdefault(name, {})

    def forget(self) -> None:
        """Know nothing any more."""
        for known in self._tables.values():
            known.clear()


class Translation:
    """What a leg's rows become on the target. Made once per leg, for its rows ask
    many times a millisecond."""

    def __init__(
        self, leg: CompiledLeg, statements: LegStatements, companies: CompanyCache
    ) -> None:
        self._key = leg.key
        self._company = leg.company
        lookup = None if leg.company is None else leg.slots[leg.company].lookup
        self.company_lookup = lookup
        self.companies = None if lookup is None else companies.table(lookup.tables[0])
        """References of companies by code; None where rows hold the code itself."""
        self.lookups = [
            (index, lookup, lookup.scoped and leg.company is not None)
            for index, lookup in statements.lookups
        ]
        """Slot, lookup, and whether the company belongs to its key."""
        self._keyed = statements.keyed_by_lookup
        self._plain = not self.lookups and self.companies is None
        self._width = len(leg.slots)

    def company(self, row: Row) -> str | None:
        """The company of a mapped row as its company column holds it."""
        if self._company is None:
            return None
        code = row[self._company]
        if self.companies is None or code is None:
            return code
        return self.companies.get(code)

    def unknown_companies(self, rows: Iterable[Row]) -> set[str]:
        """Codes in `rows` whose references are still to be asked for."""
        known, index = self.companies, self._company
        if known is None or index is None:
            return set()
        codes = {row[index] for row in rows}
        return {code for code in codes if code is not None and code not in known}

    def row(self, row: Row, found: References) -> tuple[Row, list[int]]:
        """The row as the target holds it, and the slots whose lookup found nothing."""
        if self._plain:
            return row, []
        values = list(row)
        missing: list[int] = []
        company = None
        index = self._company
        if index is not None:
            code = company = row[index]
            if self.companies is not None and code is not None:
                company = self.companies.get(code)
            if company is None and code is not None:
                missing.append(index)
                company = UNRESOLVED
            values[index] = company
        for index, _, scoped in self.lookups:
            value = row[index]
            if value is None:
                continue
            scope = company if scoped else None
            reference = found.get(index, _NOTHING).get((value, scope), UNRESOLVED)
            if reference in (UNRESOLVED, AMBIGUOUS):
                missing.append(index)
            values[index] = reference
        return tuple(values), missing

    def keys(
        self, keys: Sequence[Row], found: References
    ) -> Iterable[Sequence[str | None]]:
        """Integration keys as arrays of the target's key columns; null where a part
        leads nowhere."""
        if self._keyed:
            return self._keys_by_lookup(keys, found)
        columns: list[Sequence[str | None]] = list(zip(*keys, strict=True))
        if self.companies is not None and self._company in self._key:
            known = self.companies
            place = self._key.index(self._company)
            columns[place] = [
                None if code is None else known.get(code) for code in columns[place]
            ]
        return columns

    def _keys_by_lookup(
        self, keys: Sequence[Row], found: References
    ) -> list[list[str | None]]:
        rows = [self.row(self.key_row(key), found)[0] for key in keys]
        return [
            [None if row[i] == UNRESOLVED else row[i] for row in rows]
            for i in self._key
        ]

    def key_row(self, key: Row) -> Row:
        """A row that has only the key's slots filled."""
        values: list[str | None] = [None] * self._width
        for index, value in zip(self._key, key, strict=True):
            values[index] = value
        return tuple(values)
