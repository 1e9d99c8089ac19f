"""The SDK's emulated cameras."""

import functools
import warnings

import pytest

EMULATED = ("0815-0000", "0815-0001")


@functools.cache
def _emulator_answers() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's binding warns while it is imported, and crashes where that raises
        pytest.importorskip("pypylon.pylon", reason="the Basler SDK is not installed (extra basler)")
    from capture.camera.basler_discovery import list_cameras

    return tuple(c.serial for c in list_cameras() if c.device_class == "BaslerCamEmu") == EMULATED


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Two emulated cameras; their serial numbers. The SDK reads the variable when it is first imported."""
    monkeypatch.setenv("PYLON_CAMEMU", str(len(EMULATED)))
    if not _emulator_answers():
        pytest.skip("the Basler SDK was imported without its emulator")
    return EMULATED
