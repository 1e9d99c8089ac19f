"""Industrial cameras: the device, its settings, its clock, and what becomes of incomplete frames."""
