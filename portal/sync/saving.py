"""Queued changes as a file: to take along, and kept when a queue is thrown away."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from portal.maps.models import TableMap
from portal.sync.models import KeptChange, SavedQueue, SavedQueuePart

if TYPE_CHECKING:
    from portal.accounts.models import User

LINES_A_PART = 5_000

CSV_COLUMNS = (
    "committed_at",
    "direction",
    "position",
    "transaction",
    "kind",
    "key",
    "new",
    "old",
)


def line_of(change: KeptChange) -> dict[str, Any]:
    """One change as the files have it; rows by column."""
    return {
        "committed_at": change.committed_at.isoformat(),
        "direction": change.direction,
        "position": change.position,
        "ordinal": change.ordinal,
        "transaction": change.transaction_id,
        "kind": change.kind,
        "key": change.key,
        "new": _row(change, change.new),
        "old": _row(change, change.old),
    }


def _row(change: KeptChange, values: list[Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return dict(zip(change.columns, values, strict=True))


def csv_row(line: dict[str, Any]) -> list[str]:
    """The same as a line of CSV: key and rows as JSON."""
    return [
        "" if line[name] is None else _text(line[name])
        for name in ("committed_at", "direction", "position", "transaction", "kind")
    ] + [json.dumps(line[name], ensure_ascii=False) for name in ("key", "new", "old")]


def _text(value: Any) -> str:
    return str(value)


def as_csv(lines: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines as the text of a CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    for line in lines:
        writer.writerow(csv_row(line))
        if buffer.tell() > 65536:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def as_json_lines(lines: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines as the text of a JSON Lines file."""
    for line in lines:
        yield json.dumps(line, ensure_ascii=False) + "\n"


FORMATS = {"jsonl": as_json_lines, "csv": as_csv}
TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


class Saving:
    """Writes a file in portions, into the portal's database: every host has it, and
    so has every backup."""

    def __init__(self, table_map: TableMap, user: User | None) -> None:
        self.saved = SavedQueue.objects.create(table_map=table_map, created_by=user)
        self._number = 0

    def add(self, changes: Iterable[KeptChange]) -> None:
        """Add these changes, in their order."""
        lines: list[str] = []
        size = 0
        for change in changes:
            lines.append(json.dumps(line_of(change), ensure_ascii=False) + "\n")
            size += change.size
            if len(lines) == LINES_A_PART:
                self._part(lines, size)
                lines, size = [], 0
        if lines:
            self._part(lines, size)
        self.saved.save(update_fields=["changes", "bytes"])

    def _part(self, lines: list[str], size: int) -> None:
        self._number += 1
        SavedQueuePart.objects.create(
            saved_queue=self.saved,
            number=self._number,
            content=gzip.compress("".join(lines).encode(), 3),
        )
        self.saved.changes += len(lines)
        self.saved.bytes += size


def saved_lines(saved: SavedQueue) -> Iterator[dict[str, Any]]:
    """The lines of a kept file, part by part."""
    parts = SavedQueuePart.objects.filter(saved_queue=saved).order_by("number")
    for part in parts.iterator(chunk_size=1):
        for line in gzip.decompress(bytes(part.content)).decode().splitlines():
            yield json.loads(line)
