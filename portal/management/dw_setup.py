"""`dw setup` and `dw relink`: what the wizard does, without a browser."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Collection, Sequence
from typing import Any

from portal.environments import relinking
from portal.environments.copies import clean_up
from portal.environments.models import Environment
from portal.environments.queries import find_connection_set, find_environment
from portal.environments.services import delete_environment
from portal.management.dw_removing import confirm
from portal.management.reading import read_text
from portal.management.results import Add, Console, Result
from portal.maps import configuration
from portal.maps import services as maps
from portal.maps.models import MapState
from portal.refusals import Refusal
from portal.setup import checking, choosing, creating, drafts, filling, stamping
from portal.setup.models import DraftState, SetupDraft, Situation, StampingState
from portal.setup.summary import Summary, summary_of
from syncengine.mapping.files import ConnectionSetFile, Document, parse_document
from syncengine.mapping.model import Severity, Side

POLL_SECONDS = 0.5


def register(add: Add) -> None:
    """Add the commands that make links."""
    parser = add(
        "setup", setup, "link two systems: test, check, install ready-made maps, run"
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--maps",
        nargs="+",
        default=[],
        metavar="MAP|PACKAGE",
        help="ready-made maps to install and run, with those they refer to",
    )
    parser.add_argument(
        "--situation",
        choices=list(Situation.values),
        default=Situation.EXISTING_EXISTING.value,
        help="how both systems are; sets what is copied and who wins",
    )
    parser.add_argument(
        "--skip-initial-sync",
        nargs="+",
        default=[],
        metavar="MAP",
        help="maps that go live without copying rows",
    )
    parser.add_argument(
        "--master", choices=[side.value for side in Side], help="who wins in all maps"
    )
    parser.add_argument(
        "--fill-company",
        action="append",
        default=[],
        type=_table_code,
        metavar="TABLE=CODE",
        help="give records of the CRM's TABLE that have no company this one",
    )
    parser.add_argument(
        "--plan", action="store_true", help="check and show what would be made"
    )
    parser.set_defaults(usage=parser.error)
    parser = add("relink", relink, "clean both sides of a link up and begin it anew")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")
    parser = add("clean-up", clean, "take away what other links left in an environment")
    parser.add_argument("name", metavar="ENVIRONMENT")
    parser.add_argument(
        "--force", action="store_true", help="even where another portal may use it"
    )


def setup(options: argparse.Namespace, console: Console) -> Result:
    """Make the environments of a file known, check the link, make it and wait until
    changes are carried over."""
    document = parse_document(read_text(options.file), os.environ)
    if len(document.connection_sets) != 1 or document.maps:
        options.usage(
            "FILE describes one connection set, its environments and companies; maps "
            "are named with --maps, or added with 'dw apply'"
        )
    link = document.connection_sets[0]
    known = set(Environment.objects.values_list("name", flat=True))
    configuration.apply_document(Document(environments=document.environments))
    draft = drafts.begin()
    try:
        _fill(draft, link, options)
        for table, code in () if options.plan else options.fill_company:
            _stamp(draft, table, code, console)
        found = checking.check(draft)
        draft.refresh_from_db()
        lines = [
            f"{finding.severity.value}: {name + ': ' if name else ''}"
            f"{finding.code}: {finding.message} {finding.cure}".rstrip()
            for name, finding in found
            if finding.severity is not Severity.INFO
        ]
        for line in lines:
            console.progress(line)
        if not draft.passed:
            reasons = [line for line in lines if line.startswith("error")]
            _forget(draft, known)
            return Result.failure(
                "check_failed", f"{link.name} cannot be created yet.", reasons
            )
        summary = summary_of(draft)
        if options.plan:
            _forget(draft, known)
            return Result(
                {"plan": True, "created": False, **_document(draft, summary)},
                "\n".join(
                    [*_lines(draft, summary), "Nothing was made: this is the plan."]
                ),
            )
        creating.agree(draft)
    except BaseException:
        _forget(draft, known)
        raise
    return _follow(draft, summary, console)


def _forget(draft: SetupDraft, known: Collection[str]) -> None:
    """Leave nothing behind of a draft that came to nothing: neither itself nor the
    environments that were not `known` before."""
    stored = SetupDraft.objects.filter(pk=draft.pk, state=DraftState.EDITING).first()
    if stored is None:
        return
    made = [one for one in drafts.only_here(stored) if one.name not in known]
    drafts.discard(stored)
    for environment in made:
        delete_environment(environment)


def _stamp(draft: SetupDraft, table: str, code: str, console: Console) -> None:
    job = stamping.begin(draft, table, code)
    while job.active:
        # Here, or wherever a worker has it.
        filling.work(
            job.pk,
            told=lambda rows: console.progress(
                f"{rows:,} records of {table} got {code}."
            ),
        )
        job.refresh_from_db()
        if job.active:
            time.sleep(POLL_SECONDS)
    if job.state != StampingState.DONE:
        raise Refusal(job.message, code=job.code or job.state)
    if job.message:
        console.progress(job.message)


def _table_code(text: str) -> tuple[str, str]:
    table, sign, code = text.partition("=")
    if not (table and sign and code):
        raise argparse.ArgumentTypeError("write it as TABLE=CODE")
    return table, code


def _fill(
    draft: SetupDraft, link: ConnectionSetFile, options: argparse.Namespace
) -> None:
    drafts.settle_start(draft, name=link.name, situation=options.situation)
    for side, name in ((Side.FINOPS, link.finops), (Side.DATAVERSE, link.dataverse)):
        drafts.choose_environment(draft, side, find_environment(name))
    draft.refresh_from_db()
    if link.legal_entities:
        pairs = {pair.finops: pair.dataverse for pair in link.legal_entities}
        drafts.settle_companies(draft, pairs, list(pairs))
    else:
        drafts.match_companies(draft)
        rows = draft.companies.all()
        drafts.settle_companies(
            draft,
            {one.finops_code: one.dataverse_code for one in rows},
            [one.finops_code for one in rows if one.chosen],
        )
    if options.maps:
        names = choosing.named(options.maps)
        schemas = choosing.read_tables(draft)
        choosing.refuse_lacking(names, schemas)
        drafts.choose_maps(draft, choosing.with_needed(names, schemas))
        chosen = list(draft.maps.all())
        skipped = set(choosing.named(options.skip_initial_sync))
        drafts.settle_order(
            draft,
            [one.name for one in chosen],
            [one.name for one in chosen if one.copies and one.name not in skipped],
            {one.name: options.master or one.master for one in chosen},
        )
    draft.refresh_from_db()


def _lines(draft: SetupDraft, summary: Summary) -> list[str]:
    lines = [f"{draft.name} ({draft.link_id}), {len(summary.companies)} companies"]
    for side in summary.sides:
        lines.append(f"On {side.environment.name}:")
        lines += [f"  {one.kind} {one.name}" for one in side.objects]
    lines += [
        f"{one.name}: "
        + (f"rows are copied, {one.master} wins" if one.copies else "live at once")
        for one in summary.maps
    ]
    return lines


def _document(draft: SetupDraft, summary: Summary) -> dict[str, Any]:
    return {
        "connection_set": draft.name,
        "link": draft.link_id,
        "legal_entities": [
            {"finops": pair.finops, "dataverse": pair.dataverse}
            for pair in summary.companies
        ],
        "objects": {
            side.environment.name: [
                {"kind": one.kind, "name": one.name} for one in side.objects
            ]
            for side in summary.sides
        },
        "maps": [
            {"name": one.name, "initial_sync": one.copies, "master": one.master}
            for one in summary.maps
        ],
    }


def _follow(draft: SetupDraft, summary: Summary, console: Console) -> Result:
    """Work the job off, here or wherever a worker has it, and tell every step."""
    told: set[int] = set()
    while True:
        creating.work(draft.pk)
        draft.refresh_from_db()
        steps = list(draft.steps.all())
        for step in steps:
            if step.state == "done" and step.pk not in told:
                told.add(step.pk)
                console.progress(f"{step.title}: {step.message}")
        if draft.state != DraftState.CREATING:
            break
        time.sleep(POLL_SECONDS)
    if draft.state == DraftState.FAILED:
        failed = next(step for step in steps if step.state == "failed")
        return Result.failure(
            "setup_failed", f"{failed.title} failed.", _reasons(failed.message)
        )
    return Result(
        {"plan": False, "created": True, **_document(draft, summary)},
        f"{draft.name} is set up: changes are carried over.",
    )


def _reasons(message: str) -> Sequence[str]:
    return [line for line in message.splitlines() if line]


def relink(options: argparse.Namespace, console: Console) -> Result:
    """Clean both sides of a set up and begin its link anew; its maps stay."""
    connection_set = find_connection_set(options.name)
    refused = confirm(
        options,
        console,
        connection_set.name,
        f"This stops all maps of {connection_set.name} and throws their queues away; "
        "companies, maps and records stay.",
    )
    if refused is not None:
        return refused
    active = list(connection_set.maps.exclude(state=MapState.NOT_RUNNING))
    done = relinking.relink(
        connection_set, stop=lambda: maps.stop(active) if active else None
    )
    lines = [f"{connection_set.name} was cleaned up and linked anew: run its maps."]
    lines += [
        f"-- Where the former database of {name} still runs:\n{script}"
        for name, script in done.scripts
    ]
    return Result(
        {
            "connection_set": connection_set.name,
            "link": connection_set.link_id,
            "moved": list(done.moved),
            "scripts": dict(done.scripts),
        },
        "\n".join(lines),
    )


def clean(options: argparse.Namespace, console: Console) -> Result:
    """Take away what a copied or restored system brought along."""
    environment: Environment = find_environment(options.name)
    links = clean_up(environment, force=options.force)
    return Result(
        {"environment": environment.name, "links": list(links)},
        f"{environment.name} was cleaned up"
        + (
            f" of {', '.join(links)}." if links else ": there was nothing to take away."
        ),
    )
