"""What every scenario of ``bench chaos`` has in common, and the list of them.

A scenario is a module with a line ``SUMMARY`` and a function ``run(setting)`` that does its worst to running stations
and yields an Outcome for each thing that it did. To add one, write the module and name it in SCENARIOS. This module
knows neither stations nor what is done to them.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

SCENARIOS: Final = {
    "kill": "bench.support.chaos.kill",
    "overload": "bench.support.chaos.overload",
    "soak": "bench.support.chaos.soak",
    "environments": "bench.support.chaos.environments",
    "messages": "bench.support.chaos.messages",
    "link": "bench.support.chaos.link",
}
"""By the name on the command line: the module of each scenario, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is given."""

    folder: Path
    """Empty, the scenario's own; gone afterwards."""
    quick: bool
    """A minute or two in all, for a change at hand; else as often and as long as the table states."""
    times: int | None = None
    """How often each thing is done; None: as often as the scenario itself thinks right."""
    minutes: float | None = None
    """How long those scenarios run that are about long runs; None likewise."""
    seed: int = 0

    def repeats(self, *, full: int, quick: int) -> int:
        """Return how often to do a thing."""
        return self.times if self.times is not None else quick if self.quick else full

    def seconds(self, *, full: float, quick: float) -> float:
        """Return how long to go on."""
        return self.minutes * 60 if self.minutes is not None else quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table."""

    what: str
    """What was done, in a few words: "engine: kill -9"."""
    tries: int
    good: int
    """Tries that ended as they must."""
    bound: str
    """What must be true each time: "graded again within 4 s"."""
    figures: str = ""
    """What was measured: "p50 1.8 s, longest 2.4 s"."""
    wrong: tuple[str, ...] = ()
    """What was not as it must be, one line each."""

    @property
    def passed(self) -> bool:
        """True where every try ended as it must."""
        return self.good == self.tries and not self.wrong


class Scenario(Protocol):
    """What the module of a scenario offers."""

    SUMMARY: str

    def run(self, setting: Setting) -> Iterator[Outcome]:
        """Do it, and yield what came of it."""
        ...


def scenario(name: str) -> Scenario:
    """Return a scenario by its name in SCENARIOS."""
    return cast(Scenario, importlib.import_module(SCENARIOS[name]))
