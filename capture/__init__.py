"""Where frames come from: simulated microscope, Basler cameras, video files, TIFF stacks, folders of images."""
