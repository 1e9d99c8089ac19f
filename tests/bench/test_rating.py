import json

import pytest

pytest.importorskip("uvicorn", reason="the rating server needs the extra rate")

from bench.__main__ import main

pytestmark = pytest.mark.slow


def test_no_vote_is_lost_or_doubled_when_the_server_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rating", "--raters", "6", "--clips", "12", "--kills", "2", "--pace", "0.02"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert found["kill -9 of the server"]["value"] == 2
    assert found["acts answered"]["value"] >= 6 * 13
    for what in ("acts lost", "acts that nobody was told of", "acts doubled", "requests refused"):
        assert found[what]["value"] == 0
