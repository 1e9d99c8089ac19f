"""What several benches share, and the workers that they start."""
