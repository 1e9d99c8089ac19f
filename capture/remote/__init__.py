"""Frames from a microscope at another machine: its side (``server``), this side (``source``), both clocks."""
