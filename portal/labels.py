"""How every status is shown: a word, an icon and a tone, never colour alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """One status as a person reads it. `tone` names a colour pair in portal.css:
    good, busy, wait, bad or off. `hint` says what the status means."""

    word: str
    icon: str
    tone: str
    hint: str = ""


MAP = {
    "not_running": Label(
        "Not running", "stop_circle", "off", "Changes are not carried over."
    ),
    "initializing": Label(
        "Initializing", "sync", "busy", "Existing rows are being copied."
    ),
    "running": Label(
        "Running", "check_circle", "good", "Changes are carried over at once."
    ),
    "paused": Label("Paused", "pause_circle", "wait", "Changes are kept in the queue."),
    "resuming": Label("Resuming", "update", "busy", "The queue is being carried over."),
}

STREAM = {
    "stopped": Label("Stopped", "stop_circle", "off", "No map needs this stream."),
    "starting": Label("Starting", "sync", "busy", "The stream is connecting."),
    "running": Label("Running", "check_circle", "good", "Changes are being read."),
    "retrying": Label(
        "Retrying", "update", "wait", "Something is unreachable; it tries again."
    ),
    "spooling": Label(
        "Spooling", "inbox", "wait", "The other side is away; changes are queued."
    ),
    "down": Label("Down", "error", "bad", "The stream cannot go on by itself."),
    "stalled": Label(
        "Stalled", "error", "bad", "Nothing comes through to the other side."
    ),
    "silent": Label(
        "No sign of life", "error", "bad", "No worker has reported for a while."
    ),
}

PROCESS = {
    "alive": Label("Alive", "check_circle", "good", "It was heard of lately."),
    "outdated": Label(
        "Other version", "update", "wait", "It runs another release than this page."
    ),
    "silent": Label(
        "Silent", "error", "bad", "It was killed, hangs, or cannot reach the database."
    ),
}

RUN = {
    "waiting": Label("Waiting", "schedule", "off"),
    "copying": Label("Copying", "sync", "busy"),
    "running": Label("Running", "sync", "busy"),
    "linking": Label("Filling references", "link", "busy"),
    "draining": Label("Catching up", "update", "busy"),
    "completed": Label("Completed", "check_circle", "good"),
    "done": Label("Done", "check_circle", "good"),
    "failed": Label("Failed", "error", "bad"),
    "cancelled": Label("Cancelled", "cancel", "off"),
}

COMPARISON = {
    "waiting": Label("Waiting", "schedule", "off"),
    "running": Label("Running", "sync", "busy"),
    "completed": Label("Completed", "check_circle", "good"),
    "failed": Label("Failed", "error", "bad"),
    "cancelled": Label("Cancelled", "cancel", "off"),
}

OUTCOME = {
    "completed": Label("Completed", "check_circle", "good", "Every row arrived."),
    "warning": Label("Warning", "warning", "wait", "Some records failed."),
    "error": Label("Error", "error", "bad", "It broke off before its end."),
}

COMPANY = {
    "linked": Label("Linked", "check_circle", "good", "Every map carries it over."),
    "joining": Label("Being copied", "sync", "busy", "Its changes wait meanwhile."),
    "left_out": Label(
        "Not copied", "error", "bad", "The copy broke off: nothing is carried over."
    ),
}

APPROVAL = {
    "open": Label("Waits for you", "error", "bad", "Held until somebody decides."),
    "approved": Label("Approved", "check_circle", "good"),
    "rejected": Label("Rejected", "block", "off"),
    "lapsed": Label("Lapsed", "cancel", "off", "The map was stopped meanwhile."),
}

ERROR = {
    "open": Label("Open", "error", "bad", "Waits for a retry or for you."),
    "retrying": Label("Retrying", "update", "busy", "Will be tried again."),
    "resolved": Label("Resolved", "check_circle", "good", "A retry succeeded."),
    "superseded": Label(
        "Superseded", "check_circle", "good", "A later change went through."
    ),
    "dismissed": Label("Dismissed", "cancel", "off", "Somebody set it aside."),
}

RECOVERY = {
    "passing": Label(
        "Passes by itself", "update", "busy", "It is tried again, ever later."
    ),
    "waiting": Label(
        "Waits for a record", "schedule", "wait", "It goes on when that one arrives."
    ),
    "person": Label(
        "Needs you", "error", "bad", "Somebody must mend the data, the map or a table."
    ),
}

HEALTH = {
    "on_time": Label("On time", "check_circle", "good"),
    "incomplete": Label("Incomplete", "update", "busy"),
    "late": Label("Late", "schedule", "wait"),
    "needs_you": Label("Needs you", "error", "bad"),
    "paused": Label("Paused", "pause_circle", "wait"),
    "off": Label("Off", "stop_circle", "off"),
}

FINDING = {
    "error": Label("Blocks a run", "error", "bad"),
    "warning": Label("Warning", "warning", "wait"),
    "info": Label("Good to know", "info", "off"),
}

ALERT = {
    "error": Label("Needs you", "error", "bad", "It does not mend by itself."),
    "warning": Label("Warning", "warning", "wait", "Look at it soon."),
    "info": Label("Good to know", "info", "off"),
}

DELIVERY = {
    "waiting": Label("Waiting", "schedule", "wait", "It goes out when it is due."),
    "sending": Label("Being sent", "sync", "busy"),
    "sent": Label("Sent", "check_circle", "good", "The other end took it."),
    "failed": Label("Failed", "error", "bad", "It is not tried again by itself."),
}

CONFLICT = {
    "settled": Label("Settled", "check_circle", "good", "The map's policy decided."),
    "undecided": Label("Undecided", "help", "wait", "Waits for you to choose a side."),
    "decided": Label("Decided", "person", "good", "A person chose a side."),
    "closed": Label("Closed", "done_all", "off", "Users made both sides agree."),
}

POLICIES = {
    "last_writer_wins": "Last writer wins",
    "finops_wins": "FinOps wins",
    "dataverse_wins": "Dataverse wins",
    "manual": "A person decides",
}

EVENT = {
    "carried": Label("Carried over", "check_circle", "good"),
    "error": Label("Refused", "error", "bad", "It waited in the error list."),
    "retry": Label("Failed again", "error", "bad"),
    "closed": Label("Error closed", "done_all", "off"),
    "conflict": Label("Conflict", "call_split", "wait"),
    "repair": Label("Repair", "build", "busy"),
    "copy": Label("Initial sync", "sync", "busy"),
    "waiting": Label("Waits", "schedule", "wait", "In the queue of its map."),
    "gap": Label("Not kept", "help", "off", "More came than the history takes."),
}

CHANGE = {
    "added": Label("Added", "add_circle", "good"),
    "removed": Label("Removed", "remove_circle", "bad"),
    "changed": Label("Changed", "edit", "wait"),
}

OPERATION = {
    "create": Label("New map", "add_circle", "good"),
    "update": Label("New version", "edit", "wait"),
    "unchanged": Label("Unchanged", "check_circle", "off"),
}

MATCH = {
    "yes": Label("Yes", "check_circle", "good", "The filter takes this row."),
    "no": Label("No", "block", "off", "The filter leaves this row out."),
}

PREVIEW = {
    "error": Label("Would fail", "error", "bad", "It would wait among the errors."),
    "new": Label("Would be added", "add_circle", "busy", "The other side lacks it."),
    "differs": Label("Would be changed", "edit", "wait"),
    "same": Label("Equal", "check_circle", "good", "Nothing would be written."),
}

TRIAL = {
    "refused": Label("Would be refused", "block", "bad", "It is not taken."),
    "fails": Label("Would fail", "error", "bad", "A value or a lookup has no result."),
    "still_refused": Label("Refused as before", "block", "wait"),
    "still_fails": Label("Fails as before", "error", "wait"),
    "left_out": Label("No longer carried", "remove_circle", "wait", "By the filter."),
    "taken_in": Label("Newly carried", "add_circle", "busy", "By the filter."),
    "mended": Label("Mended", "check_circle", "good", "It failed before."),
    "differs": Label("Comes out differently", "edit", "wait"),
    "constant": Label("Only a constant differs", "edit_note", "off"),
    "same": Label("Comes out the same", "check_circle", "good"),
    "delete_blocked": Label("Delete would be refused", "block", "bad"),
    "delete_still_blocked": Label("Delete refused as before", "block", "wait"),
    "delete_new": Label(
        "Would now be deleted", "delete", "bad", "The present version leaves it."
    ),
    "delete_left": Label(
        "No longer deleted", "remove_circle", "wait", "The present version deletes it."
    ),
    "delete_contested": Label(
        "Changed there since", "call_split", "wait", "The map's conflict rule decides."
    ),
    "deleted": Label("Would be deleted", "delete", "wait"),
    "delete_absent": Label("Already gone there", "check_circle", "off"),
    "delete_out": Label("Not in scope", "block", "off", "By filter or company."),
    "out_of_scope": Label("Not in scope", "block", "off", "By filter or company."),
}

EXAMPLE = {
    "holds": Label("Holds", "check_circle", "good"),
    "fails": Label("Does not hold", "error", "bad"),
}

USER = {
    "active": Label("Active", "check_circle", "good", "Can sign in."),
    "inactive": Label("Deactivated", "person_off", "off", "Cannot sign in."),
}

CHECK = {
    "clean": Label("Good", "check_circle", "good", "Nothing stands in the way."),
    "warning": Label("Warnings", "warning", "wait", "It runs; look at the warnings."),
    "error": Label("Cannot run", "error", "bad", "Something must be mended first."),
    "unknown": Label("Not checked", "help", "off", "It has not been checked yet."),
}

GATE = {
    "off": Label("Off", "stop_circle", "off", "Commits return at once."),
    "arming": Label(
        "Arming", "sync", "busy", "Commits wait as soon as changes get through."
    ),
    "on": Label(
        "On", "check_circle", "good", "Commits return when they are on the other side."
    ),
    "fallen_back": Label(
        "Fallen back", "warning", "bad", "Commits return at once, against your wish."
    ),
}

DRAFT = {
    "editing": Label("Draft", "edit", "off", "Nothing was made yet."),
    "creating": Label("Being created", "sync", "busy", "The job is at work."),
    "failed": Label("Needs you", "error", "bad", "The job stopped; it can go on."),
    "done": Label("Created", "check_circle", "good", "The link is there."),
}

STAMPING = {
    "waiting": Label("Waiting", "hourglass_empty", "off", "A worker takes it soon."),
    "working": Label("At work", "sync", "busy", "Records get the company."),
    "done": Label("Done", "check_circle", "good", "No record is left."),
    "cancelled": Label("Cancelled", "cancel", "off", "What was given stays."),
    "failed": Label("Failed", "error", "bad", "It stopped; begin it anew."),
}

KINDS = {
    "gate": GATE,
    "process": PROCESS,
    "map": MAP,
    "stream": STREAM,
    "run": RUN,
    "approval": APPROVAL,
    "comparison": COMPARISON,
    "outcome": OUTCOME,
    "company": COMPANY,
    "error": ERROR,
    "health": HEALTH,
    "recovery": RECOVERY,
    "finding": FINDING,
    "check": CHECK,
    "alert": ALERT,
    "delivery": DELIVERY,
    "conflict": CONFLICT,
    "change": CHANGE,
    "event": EVENT,
    "operation": OPERATION,
    "preview": PREVIEW,
    "trial": TRIAL,
    "example": EXAMPLE,
    "match": MATCH,
    "draft": DRAFT,
    "stamping": STAMPING,
    "user": USER,
}

SIDES = {"finops": "FinOps", "dataverse": "Dataverse"}

DIRECTIONS = {
    "finops_to_dataverse": "FinOps to Dataverse",
    "dataverse_to_finops": "Dataverse to FinOps",
}

PHASES = {
    "live": "Live",
    "initial": "Initial sync",
    "queue": "Queue",
    "retry": "Retry",
}


def label(kind: str, value: str) -> Label:
    """The label of one status; an unknown one is shown by its own name."""
    known = KINDS[kind].get(value)
    if known is not None:
        return known
    return Label(value.replace("_", " ").capitalize(), "help", "off")
