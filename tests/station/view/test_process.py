import sys

import pytest

from station.errors import MissingExtraError
from station.view import process


@pytest.mark.parametrize("package", ["uvicorn", "starlette.applications"])
def test_without_its_packages_the_view_says_which_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "station.view.server", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[view\]'"):
        process.run(None)  # type: ignore[arg-type]
