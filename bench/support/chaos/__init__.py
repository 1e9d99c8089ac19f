"""What ``bench chaos`` does to a station, a scenario a file, and how it looks at what comes of it."""
