"""Clips and their votes: reading, writing, making, cutting, splitting and loading them."""
