"""TIFF files as films: directories, which pages are frames, pixels, and what programs write beside them."""
