"""Connection capacity: the setting, or as many connections as the limit of open files allows."""

import resource

import pytest

from chatio.throttling.open_files import UNLIMITED, Capacity, capacity


@pytest.mark.parametrize(
    ("open_files", "expected"),
    [
        (1_048_576, Capacity(10_000, False)),
        (20_000, Capacity(10_000, False)),
        (10_000, Capacity(8_750, True)),
        (1024, Capacity(896, True)),
        (64, Capacity(32, True)),
        (10, Capacity(1, True)),
        (UNLIMITED, Capacity(10_000, False)),
    ],
)
def test_capacity_is_the_setting_or_what_the_open_files_allow(open_files: int, expected: Capacity) -> None:
    assert capacity(10_000, open_files) == expected


def test_capacity_is_by_default_that_of_this_process() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert capacity(10_000) == capacity(10_000, hard)
