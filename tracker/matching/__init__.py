"""Where a template fits best: prepared frames, detection of heads, and the two matchers."""
