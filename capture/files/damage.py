"""What of a file could not be read, and how that is said. It knows counts, no formats."""

from station.clock import NS_PER_S


class Damage:
    """Counts the frames of one file as they are read, good and bad."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of the file, as shown to people."""
        self._good = 0
        self._bad = 0
        self._missing = 0
        self._pending = 0
        self._first = ""
        self._last_s = 0.0
        self._end = ""

    @property
    def good(self) -> int:
        """Frames handed out so far."""
        return self._good

    @property
    def seen(self) -> int:
        """Frames up to the last one handed out, good and bad."""
        return self._good + self._bad - self._pending

    def unreadable(self, name: str = "") -> None:
        """Note a frame that could not be read; ``name``: its own, if it has one."""
        if not self._bad:
            self._first = name or f"after frame {self._good}"
        self._bad += 1
        self._pending += 1

    def missing(self) -> None:
        """Note a frame that the file announces and does not hold."""
        self.unreadable()
        self._missing += 1

    def readable(self, t_source_ns: int) -> int:
        """Note a frame that is handed out; return how many before it could not be read."""
        lost, self._pending = self._pending, 0
        self._good += 1
        self._last_s = t_source_ns / NS_PER_S
        return lost

    def finish(self, announced: int | None = None) -> None:
        """Note the end of the file; ``announced``: how many frames it says to have, if it says so."""
        seen = self.seen
        if announced is not None and announced > seen:
            self._end = (
                f"breaks off after frame {seen} ({self._last_s:.2f} s): {announced - seen} of {announced} missing"
            )
        elif self._pending:
            self._end = f"breaks off after frame {seen} ({self._last_s:.2f} s)"

    def broke_off(self, why: str) -> None:
        """Note that reading had to end early."""
        self._end = f"breaks off after frame {self.seen} ({self._last_s:.2f} s): {why}"

    @property
    def notices(self) -> tuple[str, ...]:
        """What people should know; at most one line on the middle and one on the end."""
        middle = self._bad - self._pending
        lines = []
        if middle and self._missing == self._bad:
            lines.append(f"{self.name} lacks {middle} frame{'s' * (middle > 1)}, the first {self._first}")
        elif middle:
            lines.append(f"{self.name} is damaged: unreadable frames left out: {middle}, the first {self._first}")
        if self._end:
            lines.append(f"{self.name} {self._end}")
        return tuple(lines)
