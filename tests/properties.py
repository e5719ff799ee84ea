"""How properties draw their examples: in `make test` the same ones each time.

With HYPOTHESIS_PROFILE=search they draw others each time, and many more of them; what
that finds becomes an `@example` of its test.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

STEADY, SEARCH = "steady", "search"
MORE = 20
"""So many times as many examples when searching."""


def choose_profile() -> None:
    """Load the profile that HYPOTHESIS_PROFILE names."""
    # How fast this machine is just now says nothing about the product.
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(STEADY, patient, derandomize=True)
    # Said, for what Hypothesis does unasked differs where CI is set.
    settings.register_profile(
        SEARCH, patient, derandomize=False, max_examples=MORE * 100
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", STEADY))


def examples(number: int) -> int:
    """The number of examples of a property that `make test` draws `number` of."""
    searching = settings.get_current_profile_name() == SEARCH
    return number * MORE if searching else number
