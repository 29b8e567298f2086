"""A short storm in the suite; a long one by hand, see `chaos.py`."""

import random

from tests.system.chaos import run


def test_every_client_ends_with_one_gapless_run_of_the_one_order() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    outcome = run(8, seed)
    assert outcome.messages == 80
    assert outcome.recoveries > 0
