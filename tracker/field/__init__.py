"""What is seen once per frame, whatever is followed: background, stage motion, disturbances."""
