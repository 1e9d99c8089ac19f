"""The whole station on a camera that stamps its pictures, read by another program from the pixels that were graded."""
