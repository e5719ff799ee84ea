"""The web process: `gunicorn portal.wsgi`."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("DUALWRITE_PROCESS", "web")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
