"""Giving records of the CRM a company: the question, the job's progress, cancelling."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.pages import page
from portal.refusals import Refusal
from portal.setup import stamping
from portal.setup.access import setup_page
from portal.setup.models import SetupDraft, Stamping


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


@setup_page
@require_http_methods(["GET", "HEAD", "POST"])
def setup_stamp(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask with the number of records, then begin to give them the company."""
    draft = get_object_or_404(SetupDraft.objects.select_related("dataverse"), pk=pk)
    values = request.POST if request.method == "POST" else request.GET
    table, company = values.get("table", ""), values.get("company", "")
    back = reverse("setup_step", args=[pk, "check"])
    try:
        if request.method == "POST":
            user: Any = request.user
            job = stamping.begin(draft, table, company, user=user)
            return redirect("setup_stamping", pk=pk, job_id=job.pk)
        rows = stamping.count(draft, table)
    except Refusal as refused:
        messages.error(request, " ".join([refused.message, *refused.reasons]))
        return redirect(back)
    return page(
        request,
        "portal/setup_question.html",
        {
            "draft": draft,
            "lines": (
                f"Without a company in {table}: {_records(rows)}. Each gets {company}, "
                f"written into {draft.dataverse} now, before the link is created.",
                "Do this where all of them belong to one company. You see how far it "
                "is and may cancel it; what was given by then stays, and the portal "
                "cannot take it back.",
            ),
            "word": f"Give {company} to {_records(rows)}",
            "fields": {"table": table, "company": company},
            "next": back,
        },
        title=f"Give records of {table} a company?",
    )


def _progress(pk: int, job_id: int) -> dict[str, Any]:
    known = Stamping.objects.select_related("draft", "environment")
    job = get_object_or_404(known, pk=job_id, draft_id=pk)
    return {"job": job, "draft": job.draft, "seconds_left": _seconds_left(job)}


def _seconds_left(job: Stamping) -> float | None:
    if not (job.started_at and job.rows and job.rows < job.wanted):
        return None
    passed = (timezone.now() - job.started_at).total_seconds()
    return passed / job.rows * (job.wanted - job.rows)


@setup_page
@never_cache
@require_safe
def setup_stamping(request: HttpRequest, pk: int, job_id: int) -> HttpResponse:
    """How far the job is, and how it ended."""
    found = _progress(pk, job_id)
    job: Stamping = found["job"]
    return page(
        request,
        "portal/setup_stamping.html",
        found,
        title=f"Records of {job.table} get a company",
    )


@setup_page
@never_cache
@require_safe
def setup_stamping_live(request: HttpRequest, pk: int, job_id: int) -> HttpResponse:
    """The job as it is now."""
    return render(request, "portal/_setup_stamping.html", _progress(pk, job_id))


@setup_page
@require_POST
def setup_stamping_cancel(request: HttpRequest, pk: int, job_id: int) -> HttpResponse:
    """Have the job end."""
    job = get_object_or_404(Stamping, pk=job_id, draft_id=pk)
    try:
        stamping.cancel(job)
    except Refusal as refused:
        messages.warning(request, refused.message)
    return redirect("setup_stamping", pk=pk, job_id=job_id)
