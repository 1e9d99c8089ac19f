"""Recorded images as sources: video files, TIFF stacks, folders of images."""
