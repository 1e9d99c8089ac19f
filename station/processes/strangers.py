"""What people are told about messages and connections that do not belong to a run."""


def strangers(where: str, bad_messages: int, turned_away: int) -> list[str]:
    """Return one sentence for each kind there was. ``where``: "tracker", "control", as on the screen."""
    lines = []
    if bad_messages:
        lines.append(f"{where} dropped {bad_messages} messages: damaged, out of place, or not from this run")
    if turned_away:
        lines.append(f"{where} refused {turned_away} connections without a pass for this run")
    return lines
