"""What is known about each followed head: state, prediction, neighbours, crossings, reacquisition."""
