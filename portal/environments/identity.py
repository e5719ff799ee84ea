"""Whether an environment is still the system that was linked."""

from __future__ import annotations

from portal.environments.models import Environment
from syncengine.connectors.base import Description
from syncengine.mapping.model import HealthFinding, Severity


def other_system(
    environment: Environment, description: Description
) -> HealthFinding | None:
    """DIPV1007 when another system answers than the one that was tested and linked:
    a copy, or a connection string that leads elsewhere."""
    if environment.fingerprint in ("", description.fingerprint):
        return None
    return HealthFinding(
        "DIPV1007",
        Severity.ERROR,
        f"{environment.name} answers as another database than the one that was "
        "linked: records could be carried into a wrong system.",
        environment.name,
        "Correct its connection string; or, where it was moved, copied or restored on "
        "purpose, clean it up and relink it.",
    )
