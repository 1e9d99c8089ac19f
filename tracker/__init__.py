"""Where each selected sperm is, how sure that is, and the window of pixels that the network will see."""
