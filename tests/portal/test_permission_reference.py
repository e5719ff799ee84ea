"""The page of rights: a line for each right, and one for each address of the portal.

It is written down apart from the code, so that a view whose right changes, and a new
view, need a second look. `page()` gives the page as the code is now.
"""

from __future__ import annotations

from pathlib import Path

from portal.access import Need
from portal.accounts.roles import MATRIX, Right, Role
from tests.portal.test_roles import ROUTES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "permissions.md"

HEAD = """# Rights and addresses

A role gives rights; every address of the portal needs one, to open it (GET) and to send
its form (POST, where it takes one). A user with several roles has the rights of each.
Limits to connection sets and companies come on top: see [users](../howto/users.md). A
test compares this page with the program.

## Roles and rights

"""

MIDDLE = """
## Addresses

*Whole*: refused to who is limited to some connection sets. *All companies*: refused to
who is limited to some companies. Addresses of the admin follow the same rights by their
models.

"""

CHANGING = frozenset(Right) - {Right.SEE, Right.SEE_USERS}
"""All rights but those of reading."""


def rows_of_rights() -> list[str]:
    """The matrix."""
    head = ["Right", "May", *(role.value for role in Role)]
    lines = [_row(head), _row(["---"] * len(head))]
    for entry in MATRIX:
        ticks = ["yes" if role in entry.roles else "" for role in Role]
        lines.append(_row([entry.right.value, entry.words, *ticks]))
    return lines


def rows_of_addresses() -> list[str]:
    """Every address with the rights it needs."""
    head = ["Address", "To open", "To send", "Limits"]
    lines = [_row(head), _row(["---"] * len(head))]
    for route in ROUTES:
        assert route.need
        lines.append(_row([f"`/{route.pattern}`", *_rights(route.need)]))
    return lines


def _rights(need: Need) -> list[str]:
    if need.right is None:
        who = "who is signed in" if need.signed_in else "anybody"
        return [who, who, need.because.rstrip(".")]
    limits = {"whole": need.whole, "all companies": need.all_companies}
    words = ", ".join(word for word, holds in limits.items() if holds)
    return [need.right.value, (need.post or need.right).value, words]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def page() -> str:
    """The whole page."""
    rights, addresses = rows_of_rights(), rows_of_addresses()
    return HEAD + "\n".join(rights) + "\n" + MIDDLE + "\n".join(addresses) + "\n"


def test_the_page_says_of_every_right_and_address_what_the_program_does() -> None:
    written = set(PAGE.read_text(encoding="utf-8").splitlines())
    wanted = set(page().splitlines())
    assert sorted(wanted - written) == [], (
        "Lines to add to the page (or a wrong right)."
    )
    assert sorted(written - wanted) == [], "Lines of the page that hold no more."


def test_roles_have_the_rights_that_were_agreed() -> None:
    """Auditors read only, operators run, map makers edit, administrators do all."""
    held = {
        role: {entry.right for entry in MATRIX if role in entry.roles} for role in Role
    }
    assert held[Role.ADMINISTRATOR] == set(Right)
    assert not held[Role.AUDITOR] & CHANGING
    assert held[Role.MAP_MAKER] & CHANGING == {Right.EDIT_MAPS}
    assert held[Role.OPERATOR] & CHANGING == {
        Right.RUN,
        Right.MEND,
        Right.COMPARE,
        Right.ALERT_RULES,
    }
    assert held[Role.RUNTIME] == {Right.PROGRAM}
