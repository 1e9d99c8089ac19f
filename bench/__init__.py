"""Is it fast: one command per question, one report format."""
