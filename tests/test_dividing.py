"""The order of the tests: what takes long first, what is dear to start together."""

from __future__ import annotations

from hypothesis import settings

from tests.dividing import longest_first, unit
from tests.properties import examples


def test_slow_directories_come_first_and_large_files_before_small_ones() -> None:
    collected = [
        "tests/mapping/test_a.py::test_1",
        "tests/jobs/test_small.py::test_1",
        "tests/jobs/test_large.py::test_1",
        "tests/jobs/test_large.py::test_2",
        "tests/e2e/test_x.py::test_1",
    ]
    order = longest_first(collected)
    assert sorted(collected, key=lambda test: order[test]) == [
        "tests/e2e/test_x.py::test_1",
        "tests/jobs/test_large.py::test_1",
        "tests/jobs/test_large.py::test_2",
        "tests/jobs/test_small.py::test_1",
        "tests/mapping/test_a.py::test_1",
    ]


def test_one_process_takes_all_browser_tests_and_otherwise_one_file() -> None:
    assert unit("tests/e2e/test_x.py::test_1") == unit("tests/e2e/test_y.py::test_2")
    assert unit("tests/jobs/test_x.py::test_1") != unit("tests/jobs/test_y.py::test_1")


def test_searching_draws_many_more_examples_and_others_each_time() -> None:
    name = settings.get_current_profile_name()
    try:
        settings.load_profile("steady")
        assert (examples(50), settings.default.derandomize) == (50, True)
        settings.load_profile("search")
        assert (examples(50), settings.default.derandomize) == (1000, False)
    finally:
        settings.load_profile(name)
