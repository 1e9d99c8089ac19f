"""Clips that train in seconds."""

from pathlib import Path

import pytest

from tests.support.tiny_training import make_clips


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty clips of ten sources, whose brightness determines their grade. Tests must not change them."""
    root = tmp_path_factory.mktemp("tiny")
    make_clips(root)
    return root
