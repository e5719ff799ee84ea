"""The state machine of a map: which action is allowed where (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portal.maps.models import MapState


class Action(StrEnum):
    """What an administrator may ask of a map."""

    RUN = "run"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Rule:
    """An action is allowed in `allowed`; in `done` it has been done already and
    asking again changes nothing; anywhere else it is refused with `hint`."""

    allowed: frozenset[MapState]
    done: frozenset[MapState]
    hint: Mapping[MapState, str]


RULES: Mapping[Action, Rule] = {
    Action.RUN: Rule(
        allowed=frozenset({MapState.NOT_RUNNING}),
        done=frozenset({MapState.INITIALIZING, MapState.RUNNING}),
        hint={
            MapState.PAUSED: "resume it, or stop it first",
            MapState.RESUMING: "it becomes Running by itself",
        },
    ),
    Action.PAUSE: Rule(
        allowed=frozenset({MapState.RUNNING, MapState.RESUMING}),
        done=frozenset({MapState.PAUSED}),
        hint={
            MapState.NOT_RUNNING: "only a running map can be paused",
            MapState.INITIALIZING: "wait for its initial sync, or stop it",
        },
    ),
    Action.RESUME: Rule(
        allowed=frozenset({MapState.PAUSED}),
        done=frozenset({MapState.RESUMING, MapState.RUNNING}),
        hint={
            MapState.NOT_RUNNING: "run it instead",
            MapState.INITIALIZING: "it becomes Running by itself",
        },
    ),
    Action.STOP: Rule(
        allowed=frozenset(
            {
                MapState.INITIALIZING,
                MapState.RUNNING,
                MapState.PAUSED,
                MapState.RESUMING,
            }
        ),
        done=frozenset({MapState.NOT_RUNNING}),
        hint={},
    ),
}

NEXT: Mapping[Action, MapState] = {
    Action.RUN: MapState.INITIALIZING,
    Action.PAUSE: MapState.PAUSED,
    Action.RESUME: MapState.RESUMING,
    Action.STOP: MapState.NOT_RUNNING,
}


def allowed_actions(state: str) -> tuple[Action, ...]:
    """The actions that change something in `state`, in the order of a menu."""
    return tuple(
        action for action, rule in RULES.items() if MapState(state) in rule.allowed
    )


def is_done(action: Action, state: str) -> bool:
    """True when a map in `state` already is what `action` would make it."""
    return MapState(state) in RULES[action].done


def refusal(action: Action, name: str, state: str) -> str | None:
    """Why `action` is not possible for the map `name`, or None when it is."""
    rule, present = RULES[action], MapState(state)
    if present in rule.allowed or present in rule.done:
        return None
    sentence = f"{name} is {present.label}, so it cannot {action.value}"
    hint = rule.hint.get(present)
    return f"{sentence}: {hint}." if hint else f"{sentence}."
