"""Who may set links up."""

from __future__ import annotations

from typing import Any

from portal.access import needs
from portal.accounts.roles import Right

setup_page = needs(Right.LINK)
"""For the pages that set links up."""


def may_set_up(user: Any) -> bool:
    """True when the user may add environments, links and maps."""
    return bool(user.has_perm(Right.LINK.permission))
