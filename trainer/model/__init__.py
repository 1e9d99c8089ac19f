"""The network: RoSTFine, its losses, its weights, and its export as one ONNX graph."""
