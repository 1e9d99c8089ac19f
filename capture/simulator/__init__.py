"""The simulated microscope: swimming sperm, debris and optics, seeded and with known truth."""
