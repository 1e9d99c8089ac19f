"""The report format: percentiles, tables, and one JSON document as the last line."""

import io
import json

import pytest
from rich.console import Console

from bench.__main__ import BENCHES, main
from bench.support.report import Report, percentiles, sample_ms


def test_percentiles() -> None:
    found = percentiles([float(v) for v in range(1, 102)])
    assert (found.count, found.p50, found.p95, found.p99, found.max) == (101, 51.0, 96.0, 100.0, 101.0)
    assert percentiles([]).count == 0


def test_warm_up_does_not_count() -> None:
    calls: list[int] = []
    samples = sample_ms(lambda: calls.append(1), count=5, warm_up=3)
    assert len(samples) == 5
    assert len(calls) == 8
    assert all(s >= 0 for s in samples)


def test_the_last_line_is_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("sample", "Nothing is measured.", settings={"n": 3})
    report.timing("call", [1.0, 2.0, 3.0], dropped=0.25, note="three of four")
    report.figure("speed", 7.5, "1/s")
    report.figure("absent", None, "ms", "not here")
    table = io.StringIO()
    report.emit(Console(file=table, width=120))
    last = capsys.readouterr().out.splitlines()[-1]
    document = json.loads(last)
    assert document["bench"] == "sample"
    assert document["settings"] == {"n": 3}
    assert document["timings"]["call"]["p50"] == 2.0
    assert document["timings"]["call"]["dropped"] == 0.25
    assert document["figures"]["speed"] == {"value": 7.5, "unit": "1/s"}
    assert document["figures"]["absent"]["value"] is None
    assert document["machine"]["cores"] >= 1
    text = table.getvalue()
    assert "For research use only. Not for use in diagnostic procedures." in text
    assert "25.00%" in text
    assert "N/A" in text


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_every_named_bench_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"python -m bench {name}" in capsys.readouterr().out


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert "tracking" in capsys.readouterr().err
