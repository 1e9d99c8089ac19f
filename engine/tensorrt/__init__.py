"""TensorRT: building plans, running them through the CUDA driver, and strict fakes of both for tests."""
