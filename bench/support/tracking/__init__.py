"""What ``bench tracking`` follows: clips and simulated cases; how it scores; what it compares with."""
