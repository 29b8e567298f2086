"""As many connections as the limit of open files has room for."""

import resource

import pytest

from chatio.throttling.open_files import Capacity, capacity


@pytest.mark.parametrize(
    ("open_files", "expected"),
    [
        (1_048_576, Capacity(10_000, False)),
        (20_000, Capacity(10_000, False)),
        (10_000, Capacity(8_750, True)),
        (1024, Capacity(896, True)),
        (64, Capacity(32, True)),
        (10, Capacity(1, True)),
        (resource.RLIM_INFINITY, Capacity(10_000, False)),
    ],
)
def test_wished_for_or_what_the_files_leave_room_for(open_files: int, expected: Capacity) -> None:
    assert capacity(10_000, open_files) == expected


def test_the_limit_is_this_process_own() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert capacity(10_000) == capacity(10_000, hard)
