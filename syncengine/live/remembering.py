"""The tables of a target as it last told them, for while it does not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from syncengine.connectors.base import ConnectionSettings
from syncengine.mapping.schema import EnvironmentSchema
from syncengine.mapping.schema_json import table_from_json, table_to_json
from syncengine.ports import Journal


class Tables(Protocol):
    """The part of a connector that compiling legs needs."""

    @property
    def settings(self) -> ConnectionSettings:
        """Whose tables they are."""

    def tables(self, names: Sequence[str] | None = None) -> EnvironmentSchema:
        """Schemas of the named tables and of those they refer to."""


class Remembering:
    """Asks the target, and keeps what it says in the journal."""

    def __init__(self, target: Tables, journal: Journal) -> None:
        self._target = target
        self._journal = journal
        self._kept: dict[str, Any] = {}

    @property
    def settings(self) -> ConnectionSettings:
        """Whose tables they are."""
        return self._target.settings

    def tables(self, names: Sequence[str] | None = None) -> EnvironmentSchema:
        """What the target says now. Raises like it."""
        found = self._target.tables(names)
        told = {name: table_to_json(table) for name, table in found.tables.items()}
        new = {n: one for n, one in told.items() if self._kept.get(n) != one}
        if new:
            self._journal.remember_tables(self.settings.side, new)
            self._kept.update(new)
        return found


class Remembered:
    """Never asks the target: says what was kept."""

    def __init__(self, settings: ConnectionSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal

    @property
    def settings(self) -> ConnectionSettings:
        """Whose tables they are."""
        return self._settings

    def tables(self, names: Sequence[str] | None = None) -> EnvironmentSchema:
        """All tables that were kept."""
        kept: Mapping[str, Any] = self._journal.remembered_tables(self._settings.side)
        tables = {name: table_from_json(document) for name, document in kept.items()}
        return EnvironmentSchema(self._settings.name, tables, self._settings.company)
