"""Many recordings graded by one model: here on all cores, or on a cluster that is there already."""
