"""Checks of a machine before it is trusted at the microscope."""
