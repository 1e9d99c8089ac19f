"""What remains of sessions: found again, labelled, removed, and what was chosen in them."""
