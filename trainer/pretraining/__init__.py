"""Teaching a fresh network to see, on simulated films, before it learns from votes."""
