"""The report of a session: one page for the lab record."""
