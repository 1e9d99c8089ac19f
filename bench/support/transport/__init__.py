"""Frames from one process to others, three ways: the station's link, imagezmq, and a ring in shared memory."""
