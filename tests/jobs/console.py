"""`manage.py dw`, kept loaded: a JSON list of arguments a line, an answer a line.

For tests that ask hundreds of times; what the command prints and its exit code are
those of the command itself.
"""

from __future__ import annotations

import io
import json
import sys

import django
from django.core.management import CommandError, call_command


def forget(name: str) -> None:
    """Remove a connection set with its maps and environments from the portal."""
    from portal.environments.models import ConnectionSet, Environment
    from portal.maps import services
    from portal.maps.models import MapState, TableMap

    for linked in ConnectionSet.objects.filter(name=name):
        services.stop(list(linked.maps.exclude(state=MapState.NOT_RUNNING)))
        TableMap.objects.filter(connection_set=linked).update(version=None)
        linked.maps.all().delete()
        linked.delete()
        Environment.objects.filter(
            pk__in=(linked.finops_id, linked.dataverse_id)
        ).delete()


def answer(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one `dw` command."""
    out, err = io.StringIO(), io.StringIO()
    if arguments[:1] == ["forget"]:
        forget(arguments[1])
        return 0, "", ""
    try:
        call_command("dw", *arguments, stdout=out, stderr=err, no_color=True)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return 2, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


def main() -> None:
    """Answer until standard input ends."""
    django.setup()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
