"""A training run: its recipe, state, loop, devices and run folder."""
