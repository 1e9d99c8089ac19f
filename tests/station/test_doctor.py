"""The doctor: each check on made-up machines, the report, the exit code."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import run_station
from station.doctor.checks import (
    all_checks,
    check_cameras,
    check_clock,
    check_mtu,
    check_runtime,
    check_sleep,
    check_space,
    check_speed,
    check_terminal,
    check_threads,
    check_usb_buffers,
    wired_mtus,
)
from station.doctor.report import Cameras, Finding, Verdict, examine, exit_code, look_for_cameras, parse_folder, render
from station.errors import InputError, MissingExtraError

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL


@dataclass(frozen=True)
class Camera:
    device_class: str

    def __str__(self) -> str:
        return "Eye 1"


NONE, USB, GIGE = Cameras(), Cameras((Camera("BaslerUsb"),)), Cameras((Camera("BaslerGigE"),))


def look(error: Exception):
    def list_cameras():
        raise error

    return look_for_cameras(list_cameras)


@pytest.mark.parametrize(
    ("cameras", "verdict", "found"),
    [
        pytest.param(look_for_cameras(lambda: [Camera("BaslerUsb")]), PASS, "Eye 1 (BaslerUsb)", id="one"),
        pytest.param(NONE, WARN, "none found", id="none"),
        pytest.param(look(MissingExtraError("pip install x")), PASS, "is not installed", id="no SDK"),
        pytest.param(look(RuntimeError("bad\nlibrary")), FAIL, "does not work (bad)", id="broken SDK"),
    ],
)
def test_cameras(cameras, verdict, found):
    (finding,) = check_cameras(cameras)
    assert (finding.verdict, found in finding.found) == (verdict, True)
    assert bool(finding.cure) == (finding.verdict is not PASS or bool(cameras.missing))


@pytest.mark.parametrize(
    ("limit", "cameras", "verdict"),
    [
        pytest.param("16", USB, FAIL, id="as delivered, with a USB camera"),
        pytest.param("16", NONE, WARN, id="as delivered, without"),
        pytest.param("1000", USB, PASS, id="raised"),
        pytest.param("0", USB, PASS, id="unlimited"),
        pytest.param(None, USB, PASS, id="no such limit"),
    ],
)
def test_usb_buffers(tmp_path: Path, limit, cameras, verdict):
    file = tmp_path / "usbfs_memory_mb"
    if limit is not None:
        file.write_text(limit + "\n")
    finding = check_usb_buffers(cameras, file)
    assert finding.verdict is verdict
    assert ("sudo tee" in finding.cure) == (verdict is not PASS)


def interface(folder: Path, name: str, mtu: int, state: str = "up", kind: str = "1", wireless: bool = False) -> None:
    (folder / name).mkdir(parents=True)
    for file, text in (("mtu", str(mtu)), ("operstate", state), ("type", kind)):
        (folder / name / file).write_text(text + "\n")
    if wireless:
        (folder / name / "wireless").mkdir()


def test_only_wired_interfaces_that_are_up_count(tmp_path: Path):
    interface(tmp_path, "eth0", 1500)
    interface(tmp_path, "eth1", 9000, state="down")
    interface(tmp_path, "lo", 65536, kind="772")
    interface(tmp_path, "wlan0", 9000, wireless=True)
    (tmp_path / "bonding_masters").write_text("")
    assert wired_mtus(tmp_path) == {"eth0": 1500}
    assert wired_mtus(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("mtu", "cameras", "verdict"),
    [(1500, NONE, PASS), (1500, GIGE, WARN), (9000, GIGE, PASS), (None, GIGE, WARN), (None, USB, PASS)],
)
def test_mtu(tmp_path: Path, mtu, cameras, verdict):
    if mtu is not None:
        interface(tmp_path, "eth0", mtu)
    assert check_mtu(cameras, tmp_path if mtu else tmp_path / "nowhere").verdict is verdict


@pytest.mark.parametrize(("free_gb", "verdict"), [(100, PASS), (5, WARN), (0.5, FAIL)])
def test_space(tmp_path: Path, free_gb, verdict):
    assert check_space(tmp_path, round(free_gb * 1e9)).verdict is verdict


def test_space_and_speed_are_measured(tmp_path: Path):
    assert "min of raw frames" in check_space(tmp_path).found
    finding = check_speed(tmp_path)
    assert float(finding.found.split()[0]) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "verdict"), [(0.1, PASS), (4.0, WARN)])
def test_speed(tmp_path: Path, seconds, verdict):
    assert check_speed(tmp_path, seconds).verdict is verdict


def test_a_folder_that_cannot_be_written_to(tmp_path: Path):
    assert check_speed(tmp_path / "nowhere").verdict is FAIL


@pytest.mark.parametrize(("step_ns", "verdict"), [(50, PASS), (500_000, WARN), (15_600_000, FAIL)])
def test_clock(step_ns, verdict):
    readings = iter(range(10_000))

    def read_ns() -> int:
        return next(readings) // 3 * step_ns

    assert check_clock(read_ns).verdict is verdict


def test_a_clock_that_stands_still():
    assert check_clock(lambda: 5).verdict is FAIL


def test_sleep_that_ends_late():
    import time

    assert check_sleep(lambda seconds: time.sleep(seconds + 0.007)).verdict is WARN


def test_runtime():
    assert check_runtime(lambda: ["CPUExecutionProvider"]).verdict is PASS

    def missing() -> list[str]:
        raise ImportError("no module")

    assert check_runtime(missing).verdict is FAIL


def test_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("station.doctor.checks.usable_cores", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1), raising=False)
    (finding,) = check_threads()
    assert (finding.verdict, "1 cores of 8" in finding.found) == (WARN, True)
    monkeypatch.setattr("station.doctor.checks.usable_cores", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 0.1, 0.1), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert [(f.name, f.verdict) for f in check_threads()] == [("threads", PASS), ("threads", WARN), ("load", WARN)]


@pytest.mark.parametrize(
    ("size", "interactive", "verdict"),
    [((80, 24), True, PASS), ((79, 24), True, WARN), ((200, 10), True, WARN), ((10, 10), False, PASS)],
)
def test_terminal(size, interactive, verdict):
    assert check_terminal(os.terminal_size(size), interactive).verdict is verdict


def test_a_check_that_breaks_off_is_a_failure_and_the_others_go_on():
    def broken() -> list[Finding]:
        raise ZeroDivisionError("oops")

    findings = examine([("a", broken), ("b", lambda: [Finding("b", PASS, "fine")])])
    assert [(f.name, f.verdict) for f in findings] == [("a", FAIL), ("b", PASS)]
    assert "ZeroDivisionError: oops" in findings[0].found


@pytest.mark.parametrize(("verdicts", "code"), [([PASS], 0), ([PASS, WARN], 0), ([WARN, FAIL, PASS], 1)])
def test_exit_code(verdicts, code):
    assert exit_code([Finding("x", verdict, "y") for verdict in verdicts]) == code


def test_the_report():
    findings = [
        Finding("disk", PASS, "fine"),
        Finding("USB buffers", FAIL, "too small " * 9, "do " * 30),
    ]
    text = render(findings)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "PASS  disk         fine"
    assert text.splitlines()[1].startswith("FAIL  USB buffers  too small")
    assert "                   -> do do" in text
    assert text.endswith("1 pass, 0 warn, 1 fail")


def test_every_check_runs_on_this_machine(tmp_path: Path):
    findings = examine(all_checks(tmp_path, lambda: [Camera("BaslerCamEmu")], lambda: ["CPUExecutionProvider"]))
    assert not [f for f in findings if "itself failed" in f.found]
    named = {f.name for f in findings}
    assert named >= {"cameras", "USB buffers", "network MTU", "disk space", "disk speed", "clock", "runtime", "threads"}


def test_the_folder_must_exist(tmp_path: Path):
    assert parse_folder(["--folder", str(tmp_path)]) == tmp_path
    for argv in (["--folder", str(tmp_path / "nowhere")], ["--fodler", "x"]):
        with pytest.raises(InputError, match="--f"):
            parse_folder(argv)


def test_the_command(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("capture.camera.basler_discovery.list_cameras", lambda: [Camera("BaslerUsb")])
    code = run_station.main(["doctor", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert "Eye 1 (BaslerUsb)" in out
    assert code == int("FAIL" in out)
    with pytest.raises(InputError, match="no such folder"):
        run_station.main(["doctor", "--folder", str(tmp_path / "nowhere")])
