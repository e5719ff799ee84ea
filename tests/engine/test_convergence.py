"""Both sides written at random, with streams stopped, cut and paused: at rest both
are equal and no write that nobody contested is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from syncengine.mapping.model import ConflictPolicy, Side
from syncengine.ports import LegMode
from tests.engine.convergence import COLUMNS, VALUES, Wandering, World
from tests.engine.link import CUSTOMERS, GROUPS, QUICK, Link
from tests.waiting import wait_until

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "3"))
STEPS = int(os.environ.get("CONVERGENCE_STEPS", "12"))

SIDES = st.sampled_from(list(Side))
NAMES = st.sampled_from(["A", "B", "C"])


def _updates() -> st.SearchStrategy[tuple[str, str, str, Any]]:
    return st.sampled_from(COLUMNS).flatmap(
        lambda column: st.tuples(
            st.just("update"),
            NAMES,
            st.just(column),
            st.sampled_from(VALUES[column]),
        )
    )


def _others() -> st.SearchStrategy[tuple[str, str, str, Any]]:
    groups = st.sampled_from(["1", "2"])
    return st.one_of(
        st.tuples(
            st.just("insert"), NAMES, st.just(""), st.sampled_from(VALUES["name"])
        ),
        st.tuples(st.just("delete"), NAMES, st.just(""), st.none()),
        st.tuples(
            st.just("update_group"), groups, st.just("memo"), st.sampled_from("xy")
        ),
        st.tuples(st.just("insert_group"), groups, st.just(""), st.sampled_from("xy")),
        st.tuples(st.just("delete_group"), groups, st.just(""), st.none()),
    )


CHANGES = st.one_of(_updates(), _updates(), _others())


class TwoSides(RuleBasedStateMachine):
    """Users on both sides, and whatever happens to the streams."""

    world: World

    @initialize()
    def begin(self) -> None:
        self.world.begin()
        self.world.write(
            Side.FINOPS,
            [("insert_group", number, "", "x") for number in ("1", "2")]
            + [("insert", name, "", "a") for name in ("A", "B")],
        )
        self.world.judge()

    @rule(side=SIDES, change=CHANGES)
    def one_change(self, side: Side, change: tuple[str, str, str, Any]) -> None:
        self.world.write(side, [change])

    @rule(side=SIDES, changes=st.lists(CHANGES, min_size=2, max_size=4))
    def several_changes(
        self, side: Side, changes: list[tuple[str, str, str, Any]]
    ) -> None:
        self.world.write(side, changes)

    @rule(name=NAMES, column=st.sampled_from(COLUMNS), data=st.data())
    def the_same_column_on_both(
        self, name: str, column: str, data: st.DataObject
    ) -> None:
        for side in data.draw(st.permutations(list(Side))):
            value = data.draw(st.sampled_from(VALUES[column]))
            self.world.write(side, [("update", name, column, value)])

    @rule(side=SIDES)
    def halt(self, side: Side) -> None:
        if self.world.workers[side].running:
            self.world.halt(side)

    @rule(side=SIDES)
    def go_on(self, side: Side) -> None:
        if not self.world.workers[side].running:
            self.world.go_on(side)

    @rule(side=SIDES)
    def cut(self, side: Side) -> None:
        self.world.cut(side)

    @rule(map_id=st.sampled_from([1, 2]))
    def pause(self, map_id: int) -> None:
        self.world.mode(map_id, LegMode.QUEUE)

    @rule(map_id=st.sampled_from([1, 2]))
    def resume(self, map_id: int) -> None:
        legs = self.world.link.state.legs
        if all(
            leg.mode is LegMode.QUEUE for key, leg in legs.items() if key[0] == map_id
        ):
            self.world.mode(map_id, LegMode.DRAIN)

    @rule()
    def retry(self) -> None:
        self.world.retry()

    @rule()
    def rest(self) -> None:
        self.world.judge()

    def teardown(self) -> None:
        if self.world.prefix:
            self.world.judge()


@pytest.fixture
def make_world(make_database: Callable[..., str]) -> Iterator[Callable[[str], World]]:
    made: list[World] = []

    def make(policy: str = "last_writer_wins") -> World:
        link = Link(
            make_database(prefix="erp"),
            make_database(prefix="crm"),
            maps=[
                replace(one, conflict=ConflictPolicy(policy))
                for one in (GROUPS, CUSTOMERS)
            ],
            settings=replace(QUICK, longest_delay=0.3),
        )
        made.append(World(link))
        return made[-1]

    yield make
    for world in made:
        world.end()
        world.link.close()


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "policy", ["last_writer_wins", "wandering_clocks", "finops_wins", "dataverse_wins"]
)
def test_two_sides_agree_at_rest_whatever_happens(
    make_world: Callable[[str], World], policy: str
) -> None:
    wandering = policy == "wandering_clocks"
    world = make_world("last_writer_wins" if wandering else policy)
    if wandering:
        link = world.link
        link.finops = Wandering(link.finops, 1)  # type: ignore[assignment]
        link.dataverse = Wandering(link.dataverse, 2)  # type: ignore[assignment]
    machine = type("Machine", (TwoSides,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
                print_blob=False,
            ),
        )
    except Exception:
        # A run in real time does not happen twice: what was seen first counts.
        if world.failure is not None:
            raise world.failure from None
        raise
    world.judge()
    world.compared()


@pytest.mark.parametrize("first", list(Side))
def test_sides_that_changed_places_are_brought_together(
    make_world: Callable[[str], World], first: Side
) -> None:
    """Both streams find what they expect, and each writes the other side's value."""
    world = make_world("last_writer_wins")
    world.begin()
    world.write(Side.FINOPS, [("insert", "A", "", "a")])
    world.judge()
    for side in Side:
        world.halt(side)
    for value in ("x", None):
        world.write(first, [("update", "A", "memo", value)])
    world.write(first.other, [("update", "A", "memo", "x")])
    key = ("customers", f"{world.prefix}A")
    for side, target, value in (
        (first, first.other, None),
        (first.other, first, "x"),
    ):
        world.go_on(side)
        wait_until(lambda t=target, v=value: (world.read(t, key) or {})["memo"] == v)
        world.halt(side)
    assert (world.read(first, key) or {})["memo"] == "x"
    assert (world.read(first.other, key) or {})["memo"] is None
    for side in Side:
        world.go_on(side)
    world.judge()
    assert world.link.state.conflicts[-1].column in ("memo", "description")


def test_a_parent_made_anew_and_changed_on_the_other_side_ends_equal(
    make_world: Callable[[str], World],
) -> None:
    """Found at random: the sides had each other's value, and nothing told of it."""
    world = make_world("last_writer_wins")
    world.begin()
    world.write(Side.FINOPS, [("insert_group", "1", "", "x")])
    world.judge()
    for side in Side:
        world.halt(side)
    world.write(Side.FINOPS, [("update_group", "1", "memo", "y")])
    world.write(
        Side.DATAVERSE,
        [("delete_group", "1", "", None), ("insert_group", "1", "", "x")],
    )
    for side in Side:
        world.go_on(side)
    world.judge()
    world.compared()
