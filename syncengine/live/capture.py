"""Keeps change capture in place: a table made anew is no longer captured by itself."""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.connectors.base import Connector
from syncengine.errors import SetupError
from syncengine.ports import Journal


class Capture:
    """Watches the capture of one stream's source; says each trouble once."""

    def __init__(self, source: Connector, link: str, journal: Journal) -> None:
        self._source = source
        self._link = link
        self._journal = journal
        self._said = ""

    def ensure(self, tables: Sequence[str]) -> None:
        """Install what capture of `tables` lacks. Changes made before that are not
        known, so the activity log asks for a comparison."""
        if not self._source.plan_install(self._link, tables).statements:
            self._said = ""
            return
        place = self._source.settings.name
        try:
            self._source.install(self._link, tables)
        except SetupError as error:
            if error.message != self._said:
                self._said = error.message
                self._journal.event(
                    "capture.incomplete",
                    f"Changes of some tables of {place} are not captured: "
                    f"{error.message}",
                    code=error.code,
                )
            return
        self._journal.event(
            "capture.repaired",
            f"Change capture of {place} was incomplete (a table may have been made "
            "anew) and has been put back. Changes made meanwhile are not known: "
            "compare the maps and repair differences.",
            tables=list(tables),
        )
