"""A draft as text, and a text as a draft."""

from __future__ import annotations

from dataclasses import replace

from portal.maps import shared_values
from portal.maps.map_files import read_map_files
from portal.maps.models import TableMap
from portal.maps.versions import refuse_unstorable
from portal.refusals import Refusal
from syncengine.mapping.files import Document, MapFile, dump_document
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.product_json import dump_product_map

FORMATS = {"yaml": "YAML", "json": "JSON of the original product"}
LONGEST = 2_000_000


def write_text(table_map: TableMap, definition: Definition, kind: str) -> str:
    """The draft as a file would say it."""
    if kind == "json":
        return dump_product_map(definition)
    entry = MapFile(table_map.connection_set.name, definition)
    return dump_document(Document(maps=(entry,)))


def read_text(
    table_map: TableMap, before: Definition, text: str, kind: str
) -> Definition:
    """What a text says of this map; refused with every mistake and its place. Name,
    publisher and version stay those of the draft, and so does what a file of the
    original product does not say; lines that name a shared value map without pairs
    get them."""
    if len(text) > LONGEST:
        raise Refusal("The text is too long.", code="file_too_large")
    name = f"draft.{kind}"
    found = read_map_files([(name, text)], table_map.connection_set.name).maps
    if len(found) != 1:
        raise Refusal(
            f"The text has {len(found)} maps; one is expected.", code="not_one_map"
        )
    imported = found[0][1]
    wanted = replace(
        imported.table_map,
        name=table_map.name,
        publisher=before.publisher,
        version=before.version,
    )
    if not imported.complete:
        wanted = replace(
            wanted,
            key=wanted.key or before.key,
            conflict=before.conflict,
            on_error=before.on_error,
            on_filter_exit=before.on_filter_exit,
            lookups=before.lookups,
            examples=before.examples,
        )
    refuse_unstorable(wanted)
    return shared_values.resolved(wanted)
