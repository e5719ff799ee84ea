"""What the dialog before a run sends: which maps, and how."""

from __future__ import annotations

from django.http import QueryDict

from portal.maps.run_options import DEFAULT_MASTER, RunOptions
from portal.pages import chosen_ids
from portal.refusals import Refusal
from syncengine.mapping.model import Side


def chosen_maps(values: QueryDict) -> list[int]:
    """The ticked maps of the plan; without one, the maps the dialog was opened for."""
    if "plan" in values:
        return chosen_ids(values.getlist("include"))
    return chosen_ids(values.getlist("map"))


def read_options(values: QueryDict) -> RunOptions:
    """How to run them. Refuses limits that are no numbers."""
    planned = "plan" in values
    included = chosen_maps(values)
    copying = set(chosen_ids(values.getlist("copy")))
    return RunOptions(
        skip_initial_sync=values.get("initial_sync") != "on",
        master=_side(values.get("master", "")) or DEFAULT_MASTER,
        related=values.get("related") == "on" and not planned,
        masters={
            map_id: side
            for map_id in included
            if (side := _side(values.get(f"master_{map_id}", ""))) is not None
        },
        skipped=frozenset(set(included) - copying) if planned else frozenset(),
        order=chosen_ids(values.getlist("plan")),
        new_rows_only=values.get("new_rows_only") == "on",
        error_limit=_whole(values.get("error_limit", "")),
        error_percent=_share(values.get("error_percent", "")),
        approve_filters=values.get("approve_filters") == "on",
    )


def _side(text: str) -> Side | None:
    return Side(text) if text in list(Side) else None


def _whole(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise Refusal("The number of failed records allowed is a whole number.")
    return int(text)


def _share(text: str) -> float | None:
    text = text.strip().rstrip("%").strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise Refusal(
            "The share of failed records allowed is a number of per cent, like 0.5."
        ) from None
