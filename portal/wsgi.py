"""The web process: `gunicorn portal.wsgi`."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("DUALWRITE_PROCESS", "web")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()


def _sign() -> None:
    """Say that this process lives, once Django is set up."""
    from portal.operations import pulse
    from portal.operations.models import Kind

    pulse.start(Kind.WEB)


_sign()
