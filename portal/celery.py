"""The Celery application: three queues, two ticks, no result backend.

`live` holds the long-running stream tasks, `initial` the chunks of copies, `default`
ticks and sweeps. The broker carries ids only; everything that must survive is a row.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_after_setup,
    setup_logging,
    worker_process_init,
)

from portal import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
if "celery" in os.path.basename(sys.argv[0] or "") or sys.argv[0].endswith(
    os.path.join("celery", "__main__.py")
):
    os.environ.setdefault("DUALWRITE_PROCESS", "worker")
    garbage.look_seldom()
    if "beat" in sys.argv:  # it makes no page's address: the pages need not be loaded
        os.environ.setdefault("CELERY_SKIP_CHECKS", "yes")

PR_SET_PDEATHSIG = 1

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "portal.sync",
        "portal.runs",
        "portal.alerts",
        "portal.errors",
        "portal.comparisons",
        "portal.conflicts",
        "portal.synchronous",
        "portal.units",
        "portal.trends",
        "portal.setup",
    ]
)


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when someone listens here: LOGGING stands."""


@worker_process_init.connect
def _die_with_the_parent(**_: Any) -> None:
    """Pool processes must not outlive a killed worker: they would hold the streams'
    locks while nobody watches them."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@celeryd_after_setup.connect
@beat_init.connect
def _keep_loaded(**_: Any) -> None:
    """Before the worker's processes are forked: they share what is loaded."""
    garbage.keep_loaded()
