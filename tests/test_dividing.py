"""The order of the tests: what takes long first, what is dear to start together."""

from __future__ import annotations

from tests.dividing import longest_first, unit


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
