"""Industrial cameras: the device, its settings, its clock, its faults."""
