"""Nothing that runs here reports home."""

import os


def forbid_telemetry() -> None:
    """Opt out of ONNX Runtime's telemetry; must be called before ``onnxruntime`` is imported.

    Its packages for Linux and macOS send session and model events to their maker and write a device identifier to disk
    unless this variable is set (microsoft/onnxruntime, pull request 27379; ``docs/Privacy.md`` there).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
