"""How property tests run here: the same few examples each time, with no deadline, and nothing kept on the disk."""

from hypothesis import HealthCheck, settings

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def few(examples: int) -> settings:
    """Return the settings of a test with so many examples."""
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=QUIET)
