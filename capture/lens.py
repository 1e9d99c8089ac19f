"""Which objective is in use, and so which scale a source has: the operator's word wins over what the source states."""

from dataclasses import dataclass

from station.config import Config
from station.transport.control_messages import Command, SourceInfo


@dataclass(frozen=True, slots=True)
class Lens:
    """The objective in use; without one the source has the scale that it states."""

    objective: str = ""
    um_per_px: float | None = None

    @classmethod
    def of_config(cls, config: Config) -> "Lens":
        """Return the objective that the configuration names."""
        name = config.source.objective
        return cls() if name is None else cls(name, config.objectives[name])

    def changed(self, command: Command) -> "Lens":
        """Return the objective after a command that may say which it is."""
        return self if command.um_per_px is None else Lens(command.objective, command.um_per_px)

    def seen_through(self, info: SourceInfo) -> SourceInfo:
        """Return what is said of a source, with this objective's scale."""
        if self.um_per_px is None:
            return info
        return info.model_copy(update={"um_per_px": self.um_per_px, "objective": self.objective})
