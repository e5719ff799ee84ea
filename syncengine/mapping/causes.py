"""Why records fail: every code with its meaning, its cure, and how it passes.

The one table that decides what is retried by itself, what waits for another record and
what waits for a person; and the normalised text that makes one cause of many failures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Recovery(StrEnum):
    """How a cause goes away: `passing` by itself, `waiting` when another record
    arrives, `person` when somebody mends the data, the map or a table."""

    PASSING = "passing"
    WAITING = "waiting"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Code:
    """What a code of a failed record means. `text` stands for all messages of the
    code where these differ from record to record. Unless `polled`, a waiting record is
    tried again only when the one it waits for is settled."""

    recovery: Recovery
    meaning: str
    cure: str
    text: str = ""
    polled: bool = True


HELD = "transaction_held"
REFERENCE_MISSING = "reference_missing"
STILL_REFERENCED = "still_referenced"

_PERSON, _WAITING, _PASSING = Recovery.PERSON, Recovery.WAITING, Recovery.PASSING
_ON_ARRIVAL = "nothing: it is tried again when that record arrives"
_BY_ITSELF = "nothing: it is tried again by itself"

CODES: dict[str, Code] = {
    "value_not_in_map": Code(
        _PERSON,
        "the value is not in the column's value map",
        "add the value to the value map, or correct the record",
    ),
    "no_rule_matches": Code(
        _PERSON,
        "no rule of the column's decision table applies, and there is no default",
        "add a rule or a default, or correct the record",
    ),
    "required_value_missing": Code(
        _PERSON,
        "a key or mandatory column would be empty",
        "fill the column in the record, or give the column map a default",
    ),
    "value_too_long": Code(
        _PERSON,
        "a text is longer than the column",
        "shorten the text, or widen the column",
    ),
    "value_out_of_range": Code(
        _PERSON,
        "a number, date or time does not fit the column",
        "correct the value, or widen the column",
    ),
    "precision_loss": Code(
        _PERSON,
        "digits, or a time of day, would be lost",
        "round the value, or give the column more decimals",
    ),
    "conversion_failed": Code(
        _PERSON,
        "the value is no number, date, GUID and so on",
        "correct the value, or map the column through a value map",
    ),
    "natural_key_incomplete": Code(
        _PERSON,
        "only some parts of the key that finds a referred record are given",
        "fill all parts of the reference, or none",
    ),
    "company_not_linked": Code(
        _PERSON,
        "the company of the record is not linked",
        "link the legal entity, or correct the company",
    ),
    "key_immutable": Code(
        _PERSON,
        "the integration key of the record was changed",
        "change it back, or delete the record and create it anew",
        "The integration key of the record was changed. Change it back, or delete the "
        "record and create it anew.",
    ),
    "schema_changed": Code(
        _PERSON,
        "the source table lacks a column that the map reads",
        "restore the column, or take it out of the map",
    ),
    "source_lookup_not_found": Code(
        _WAITING,
        "a reference on the source leads to no record yet",
        _ON_ARRIVAL + ", else correct the reference",
    ),
    "lookup_not_found": Code(
        _WAITING,
        "the record that it refers to is not on the other side yet",
        _ON_ARRIVAL + "; bring it over, or correct the reference",
    ),
    REFERENCE_MISSING: Code(
        _WAITING,
        "a foreign key of the target leads to a record that is not there yet",
        _ON_ARRIVAL + "; bring it over, or correct the reference",
    ),
    STILL_REFERENCED: Code(
        _WAITING,
        "records of the target still refer to the one to be deleted",
        _ON_ARRIVAL.replace("arrives", "is deleted")
        + "; delete the others, or dismiss",
    ),
    HELD: Code(
        _WAITING,
        "another record of the same source transaction was refused",
        "nothing: it is tried again when that record is mended or dismissed",
        "Waits because another record, changed in the same transaction, was refused.",
        polled=False,
    ),
    "lookup_ambiguous": Code(
        _PERSON,
        "several records have the key that it refers to",
        "make the key unique on the target",
    ),
    "key_unmatched": Code(
        _PERSON,
        "the two directions of the map find a record by different columns",
        "map the missing column of the key in both directions",
    ),
    "duplicate_key_in_source": Code(
        _PERSON,
        "several records of the source have this integration key",
        "make the key unique on the source, or choose another key",
    ),
    "duplicate_value": Code(
        _PERSON,
        "another record of the target has this value of a unique key",
        "change one of the two, or dismiss",
    ),
    "check_violated": Code(
        _PERSON, "a check rule of the target refuses it", "correct the record"
    ),
    "exclusion_violated": Code(
        _PERSON, "an exclusion rule of the target refuses it", "correct the record"
    ),
    "refused_by_trigger": Code(
        _PERSON, "a trigger of the target refuses it", "correct the record"
    ),
    "refused_by_policy": Code(
        _PERSON,
        "a row security policy of the target refuses it",
        "correct the record, or exempt the account from the policy",
    ),
    "column_not_writable": Code(
        _PERSON,
        "the target fills the column by itself",
        "take the column out of the map in this direction",
    ),
    "table_missing": Code(
        _PERSON,
        "a table is not there any more; the map queues its changes meanwhile",
        "restore the table, or correct the map",
    ),
    "column_missing": Code(
        _PERSON,
        "a column is not there any more; the map queues its changes meanwhile",
        "restore the column, or correct the map",
    ),
    "refused": Code(
        _PERSON,
        "the target refuses it for a reason of its own, given in its words",
        "see the other system's words on the error's page",
    ),
    "record_error": Code(
        _PERSON, "the record cannot be carried over", "see the message"
    ),
    "transient": Code(
        _PASSING, "two transactions met on the same rows, or a deadlock", _BY_ITSELF
    ),
    "cancelled": Code(_PASSING, "a statement took longer than it may", _BY_ITSELF),
    "throttled": Code(_PASSING, "the other system asked to slow down", _BY_ITSELF),
    "unreachable": Code(_PASSING, "the connection was lost", _BY_ITSELF),
}

WAITING_CODES = frozenset(
    code for code, known in CODES.items() if known.recovery is Recovery.WAITING
)

FIRST_WAITS = (2, 5, 15, 60, 300, 900, 3600)
"""Seconds before each automatic retry; the last one repeats."""


def recovery_of(code: str) -> Recovery:
    """How failures of this code go away; unknown ones need a person."""
    known = CODES.get(code)
    return known.recovery if known is not None else Recovery.PERSON


def waits_of(code: str) -> tuple[int, ...]:
    """Seconds before each automatic retry of this code; empty when none is made."""
    known = CODES.get(code)
    if known is None or known.recovery is Recovery.PERSON or not known.polled:
        return ()
    return FIRST_WAITS


_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\u201c[^\u201d]*\u201d")
_GUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_MARKED = re.compile(r"\b(?=[A-Z0-9][A-Z0-9_-]*\d)[A-Z0-9][A-Z0-9_-]*\b")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.,:]*(?<![.,:])(?!\w)")


def cause_text(code: str, message: str, key: Sequence[str | None] = ()) -> str:
    """The message with what differs from record to record taken out: the record's
    key, quoted values, GUIDs, numbers."""
    known = CODES.get(code)
    if known is not None and known.text:
        return known.text
    parts = [part for part in key if part]
    text = message
    if len(parts) > 1:
        text = text.replace(" / ".join(parts), "{key}")
    text = _QUOTED.sub("'\u2026'", text)
    for part in sorted(parts, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(part)}(?![\w])", "{key}", text)
    text = _GUID.sub("#", text)
    text = _MARKED.sub("#", text)
    return _NUMBER.sub("#", text)


_KEY_OF_OTHER = re.compile(r"Key \([^)]*\)=\((?P<values>.*?)\) is (?:not|still)")


def hidden_value(message: str, remote: str = "") -> str:
    """What `cause_text` hides of a message: its quoted values, else the key that the
    other system names in `remote`; empty where there is none of them."""
    quoted = [found[1:-1] for found in _QUOTED.findall(message)]
    if quoted:
        return " / ".join(dict.fromkeys(quoted))
    named = _KEY_OF_OTHER.search(remote)
    return named["values"] if named else ""


def cause_signature(code: str, column: str, text: str) -> str:
    """Tells the causes of one map and direction apart; 32 characters."""
    words = "\x1f".join((code, column, text)).encode()
    return hashlib.blake2b(words, digest_size=16).hexdigest()
