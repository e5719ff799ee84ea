"""References that stand for keys nobody found."""

from __future__ import annotations

from syncengine.mapping.dangling import dangles, dangling, reference_of, shown_key


def test_a_reference_stands_for_the_key_it_should_lead_to() -> None:
    key = ("USMF", dangling("5fc0"), "1")
    assert dangles(key)
    assert reference_of(key[1]) == "5fc0"
    assert shown_key(key) == "USMF / (not found: 5fc0) / 1"


def test_plain_parts_and_empty_ones_are_no_references() -> None:
    key = ("USMF", None, "5fc0")
    assert not dangles(key)
    assert [reference_of(part) for part in key] == [None, None, None]
    assert shown_key(key) == "USMF / (empty) / 5fc0"
