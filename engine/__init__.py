"""From window to grades: the artifact, the runtimes that execute it, its verification and compilation."""
