"""The keys of the page; the same as the terminal's."""

KEYS: dict[str, str] = {}
