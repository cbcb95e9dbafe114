"""How a step of a test tells the time it took."""

import pytest

from outbound.templatetags.test_runs import seconds


@pytest.mark.parametrize(
    ("ms", "told"),
    [(0.04, "< 1 ms"), (0.5, "< 1 ms"), (1, "1 ms"), (339.6, "340 ms"), (1000, "1.0 s"), (1449, "1.4 s")],
)
def test_a_time_is_told_in_the_unit_that_fits_and_never_as_nothing(ms: float, told: str) -> None:
    assert seconds(ms) == told
