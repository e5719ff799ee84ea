"""Who commits wait for: every form of the setting, extended and reduced."""

from __future__ import annotations

import pytest

from syncengine.connectors.postgres.standby_names import StandbyNames
from syncengine.errors import SetupError

OURS = "dualwrite_dw1_finops"


@pytest.mark.parametrize(
    ("present", "extended"),
    [
        ("", OURS),
        ("standby1", f"FIRST 2 ({OURS}, standby1)"),
        ("FIRST 1 (standby1)", f"FIRST 2 ({OURS}, standby1)"),
        ("first 2 (a, b)", f"FIRST 3 ({OURS}, a, b)"),
        ("2 (a, b)", f"FIRST 3 ({OURS}, a, b)"),
        ("ANY 2 (a, b)", f"ANY 3 ({OURS}, a, b)"),
        ('"Standby ""A"" , 1"', f'FIRST 2 ({OURS}, "Standby ""A"" , 1")'),
        (OURS, OURS),
        (OURS.upper(), OURS.upper()),
        (f"FIRST 2 (a, {OURS})", f"FIRST 2 (a, {OURS})"),
    ],
)
def test_ours_is_waited_for_beside_all_others(present: str, extended: str) -> None:
    def canonical(text: str) -> StandbyNames:
        return StandbyNames.parse(text)

    assert canonical(present).with_name(OURS) == canonical(extended)
    assert canonical(str(canonical(present).with_name(OURS))) == canonical(extended)


@pytest.mark.parametrize(
    "present", ["a, b", "FIRST 1 (a, b)", "ANY 1 (a, b)", "*", "FIRST 1 (*)"]
)
def test_a_choice_among_standbys_is_left_alone(present: str) -> None:
    with pytest.raises(SetupError) as refused:
        StandbyNames.parse(present).with_name(OURS)
    assert refused.value.code == "standby_names_taken"


@pytest.mark.parametrize("present", ["", "standby1", "FIRST 2 (a, b)", "ANY 2 (a, b)"])
def test_taking_ours_out_leaves_what_was(present: str) -> None:
    before = StandbyNames.parse(present)
    assert before.with_name(OURS).without(OURS) == before
    assert before.without(OURS) == before


def test_taking_ours_out_of_a_choice_keeps_the_choice() -> None:
    names = StandbyNames.parse(f"FIRST 1 (a, {OURS}, b)")
    assert str(names.without(OURS)) == "FIRST 1 (a, b)"
