"""The live view: what the camera sees and what was found in it, in a browser on this machine."""
