"""Files that bring maps along: the original product's JSON, or our YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from portal.refusals import Refusal
from syncengine.mapping.files import Document, FileError, parse_document
from syncengine.mapping.model import ValueMap
from syncengine.mapping.product_json import ImportedMap, Leftover, parse_product_maps

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_ELSEWHERE = "Only maps are taken over here; 'dw apply' takes a whole file."
_CHOSEN = "The maps go into the connection set that was chosen."


@dataclass(frozen=True)
class MapFiles:
    """What files say: each map with its file's name, and shared value maps."""

    maps: tuple[tuple[str, ImportedMap], ...]
    value_maps: tuple[ValueMap, ...] = ()


def read_map_files(files: Sequence[tuple[str, str]], target: str) -> MapFiles:
    """Read files, each a name and a text, whose maps are to go into the connection
    set named `target`. Nothing else of a YAML file is taken; it is listed as left
    over with its first map. Raises Refusal with every mistake of every file."""
    maps: list[tuple[str, ImportedMap]] = []
    value_maps: dict[str, ValueMap] = {}
    problems: list[str] = []
    for name, text in files:
        try:
            if _is_json(name, text):
                maps += [(name, imported) for imported in parse_product_maps(text)]
                continue
            # Connection strings are not taken, so no variable is looked up.
            variables = dict.fromkeys(_VARIABLE.findall(text), "")
            document = parse_document(text, variables)
            for one in document.value_maps:
                if value_maps.setdefault(one.name, one) != one:
                    problems.append(
                        f"{name}: The value map {one.name} is another than in an "
                        "earlier file."
                    )
            found = list(_maps(document, target))
        except FileError as error:
            problems += [f"{name}, {problem}" for problem in error.problems]
            continue
        if not found:
            problems.append(f"{name}: There is no map in this file.")
        maps += [(name, imported) for imported in found]
    if problems:
        raise Refusal(
            "The files cannot be imported; nothing was changed.",
            code=FileError.code,
            reasons=problems,
        )
    return MapFiles(tuple(maps), tuple(value_maps.values()))


def _is_json(name: str, text: str) -> bool:
    """By the name's ending, else by how the text begins."""
    ending = name.rpartition(".")[2].casefold()
    if ending in ("yaml", "yml"):
        return False
    return ending == "json" or text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def _maps(document: Document, target: str) -> Iterator[ImportedMap]:
    around = [
        Leftover(f"{kind}[{number}]", entry.name, _ELSEWHERE)
        for kind, entries in (
            ("environments", document.environments),
            ("connection_sets", document.connection_sets),
        )
        for number, entry in enumerate(entries)
    ]
    for number, entry in enumerate(document.maps):
        left = []
        if entry.connection_set != target:
            place = f"maps[{number}].connection_set"
            left.append(Leftover(place, entry.connection_set, _CHOSEN))
        imported = ImportedMap(entry.table_map, tuple(left), complete=True)
        if not number:
            imported = replace(imported, leftovers=(*imported.leftovers, *around))
        yield imported
