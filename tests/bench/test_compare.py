"""Two runs side by side: what is a change, what is noise, what is missing; and all benches in one file."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import all as every
from bench.__main__ import main
from bench.compare import change
from bench.support.report import Report


def timing(p50: float, p95: float, count: int = 100) -> dict[str, float]:
    return {"p50": p50, "p95": p95, "p99": p95, "max": p95, "count": count}


@pytest.mark.parametrize(
    ("old", "new", "ratio", "outside"),
    [
        (timing(10, 11), timing(5, 5.5), 0.5, True),
        (timing(10, 11), timing(10.2, 11.2), 1.02, False),
        (timing(10, 30), timing(11, 33), 1.1, False),
        (timing(10, 10.01), timing(10.1, 10.11), 1.01, False),
        (timing(10, 11, count=2), timing(5, 5.5), 0.5, False),
    ],
    ids=["half", "little", "a wide spread", "below 3 %", "two samples"],
)
def test_what_is_more_than_noise(old: Any, new: Any, ratio: float, outside: bool) -> None:
    found = change(old, new)
    assert found.ratio == pytest.approx(ratio)
    assert found.outside is outside


def written(path: Path, scale: float, *, extra: str = "") -> Path:
    report = Report("engine", "a test", {})
    report.timing("int8", [scale * (10 + 0.01 * k) for k in range(20)])
    report.timing("float32", [20 + 0.01 * k for k in range(20)], dropped=0.125 if scale == 1 else 0.0)
    report.figure("ceiling", 100 / scale, "1e9/s")
    if extra:
        report.timing(extra, [1.0])
    path.write_text("a table\n" + json.dumps(report.document()))
    return path


def test_ratios_of_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = written(tmp_path / "old", 1), written(tmp_path / "new", 0.5, extra="bfloat16")
    assert main(["compare", str(old), str(new)]) == 0
    said = capsys.readouterr().out
    document = json.loads(said.strip().splitlines()[-1])
    assert document["figures"]["int8"]["value"] == pytest.approx(0.5)
    assert document["figures"]["int8"]["note"].startswith("faster: ")
    assert document["figures"]["float32"]["note"].startswith("within the noise: ")
    assert document["figures"]["float32"]["note"].endswith("; dropped 12.5% and 0.0%"), "loss makes times shorter"
    assert "dropped" not in document["figures"]["int8"]["note"]
    assert document["figures"]["ceiling"]["value"] == 2
    assert "bfloat16: only in the new one" in said
    assert "load of the machine" in said


@pytest.mark.parametrize("content", ["", "no document", "[1]", '{"a": 1}'])
def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / "old").write_text(content)
    assert main(["compare", str(tmp_path / "old"), str(tmp_path / "old")]) == 2
    assert "expected the JSON document of a bench" in capsys.readouterr().err


def test_all_goes_on_where_one_fails_and_is_compared_bench_by_bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(every, "QUICK", {"fuzz": ("--files", "1"), "record": ("--seconds", "nothing")})
    file = tmp_path / "all.json"
    assert main(["all", "--quick", "--out", str(file)]) == 0
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["figures"]
    assert figures["fuzz"]["note"] == "ok"
    assert figures["record"]["note"].startswith("failed: rostfine: ")
    assert main(["compare", str(file), str(file)]) == 0
