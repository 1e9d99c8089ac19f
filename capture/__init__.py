"""Where frames come from: the simulated microscope, video files, folders of pictures."""
