"""The files of running stations: private, told apart by name, and gone when their run is."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from station.build_info import ROOT
from station.commands.registry import find_station, registered, registered_if_possible, running_stations, runtime_folder
from station.errors import InputError, StationError
from station.transport.endpoints import Endpoints, private_endpoints
from tests.support.station_program import wait_for


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with private_endpoints() as made:
        yield made


def test_a_run_is_found_by_its_file_which_the_user_alone_can_read(endpoints: Endpoints, runtime: Path) -> None:
    with registered(endpoints) as registration:
        path = runtime / "rostfine" / "station.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        found = find_station(None)
        assert found == registration.entry
        assert (found.key, found.commands, found.pid) == (endpoints.key, endpoints.commands.address, os.getpid())
        registration.update(found.model_copy(update={"fps": 15.0, "model": "demo"}))
        assert json.loads(path.read_text())["fps"] == 15.0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list((runtime / "rostfine").iterdir()) == []
    with pytest.raises(InputError, match="no station is running"):
        find_station(None)


def test_several_are_told_apart_by_name(endpoints: Endpoints) -> None:
    with registered(endpoints), registered(endpoints, "left"), registered(endpoints):
        assert [station.name for station in running_stations()] == ["left", "station", "station-2"]
        assert find_station("left").name == "left"
        with pytest.raises(InputError, match="several stations are running: left, station, station-2"):
            find_station(None)
        with pytest.raises(InputError, match="no station named right is running"):
            find_station("right")
        with pytest.raises(InputError, match="named left is running already"), registered(endpoints, "left"):
            pass


def test_no_name_leads_out_of_the_folder(endpoints: Endpoints, runtime: Path) -> None:
    for name in ("../x", "a/b", "", "A", "x" * 50):
        with pytest.raises(InputError, match="--name"), registered(endpoints, name):
            pass
    assert list(runtime.rglob("*.json")) == []


def test_a_run_goes_on_where_no_file_can_be_written(
    endpoints: Endpoints, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runtime / "rostfine").mkdir(mode=0o755)
    with registered_if_possible(endpoints) as registration:
        assert registration is None
    error = capsys.readouterr().err
    assert "is not this user's alone; remove it, or set XDG_RUNTIME_DIR; until then no command finds this run" in error


def test_files_of_runs_that_are_gone_are_removed(endpoints: Endpoints, runtime: Path) -> None:
    with registered(endpoints) as registration:
        entry = registration.entry
        folder = runtime / "rostfine"
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            pass
        dead = {"name": "dead", "pid": process.pid}
        (folder / "dead.json").write_text(entry.model_copy(update=dead).model_dump_json())
        gone = {"name": "gone", "folder": str(runtime / "nowhere")}  # its number is another process's by now
        (folder / "gone.json").write_text(entry.model_copy(update=gone).model_dump_json())
        (folder / "broken.json").write_text("{")
        os.utime(folder / "broken.json", (0, 0))
        (folder / "begun.json").write_text("")
        assert [station.name for station in running_stations()] == ["station"]
        assert sorted(path.name for path in folder.iterdir()) == ["begun.json", "station.json"]
        assert endpoints.folder.is_dir(), "of a run that is there"


def test_the_folder_of_a_run_that_was_killed_goes_with_its_file_and_no_other(
    endpoints: Endpoints, runtime: Path
) -> None:
    places = {name: runtime / name for name in ("rostfine-a1b2c3d4", "rostfine-run-0", "mine")}
    link = runtime / "rostfine-00000000"
    for place in places.values():
        place.mkdir()
        (place / "capture.ledger").write_text("")
    link.symlink_to(places["mine"])
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    with registered(endpoints) as registration:
        for number, place in enumerate([*places.values(), link]):
            dead = {"name": f"dead-{number}", "pid": process.pid, "folder": str(place)}
            text = registration.entry.model_copy(update=dead).model_dump_json()
            (runtime / "rostfine" / f"dead-{number}.json").write_text(text)
        assert [station.name for station in running_stations()] == ["station"]
    assert not places["rostfine-a1b2c3d4"].exists()
    assert (places["rostfine-run-0"] / "capture.ledger").exists()
    assert (places["mine"] / "capture.ledger").exists()


ODD = {
    "a number that no process has": {"pid": 10**30},
    "no address": {"commands": "nonsense"},
    "an address of elsewhere": {"commands": "tcp://192.0.2.1:5"},
    "a path that no socket has": {"commands": "ipc://" + "x" * 200},
    "a word that cannot be shown": {"key": "k" * 300},
    "a name that cannot be shown": {"user": ""},
    "keys that are none": {"server_public_key": "short", "public_key": "a", "secret_key": "b"},
    "a folder with a null": {"folder": "/tmp\0x"},
    "a folder that no file system has": {"folder": "a" * 300},
}


@pytest.mark.parametrize("what", ODD)
def test_a_file_with_odd_values_stops_no_other_run_and_no_command(
    endpoints: Endpoints, runtime: Path, what: str
) -> None:
    with registered(endpoints) as registration:
        text = json.dumps(json.loads(registration.entry.model_dump_json()) | {"name": "odd"} | ODD[what])
        odd = runtime / "rostfine" / "odd.json"
        odd.write_text(text)
        assert find_station(None).name == "station"
        if odd.exists():  # it may have been in the middle of being written
            os.utime(odd, (0, 0))
        assert find_station(None).name == "station"
        assert not odd.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_an_address_to_which_nothing_can_connect_is_said(endpoints: Endpoints, context: zmq.Context) -> None:
    address = f"ipc:///tmp/{'ä' * 80}"  # 80 characters, 160 bytes
    with registered(endpoints) as registration:
        endpoint = registration.entry.model_copy(update={"commands": address}).endpoint("commands")
        with pytest.raises(StationError, match="cannot be connected to"):
            endpoint.connect(context.socket(zmq.DEALER))


KILLED = """
import os, signal
from station.transport.endpoints import private_endpoints
with private_endpoints() as endpoints:
    print(endpoints.folder, flush=True)
    if os.fork() == 0:
        signal.pause()
    print(flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind there")
def test_the_folder_of_a_run_that_was_killed_before_it_was_registered_goes_once_none_of_its_processes_lives(
    endpoints: Endpoints, runtime: Path
) -> None:
    environment = os.environ | {"TMPDIR": str(runtime)}
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as one:
        assert one.stdout is not None
        killed = Path(one.stdout.readline().strip())
        one.stdout.readline()
        one.wait()
        old, young = runtime / "rostfine-a1b2c3d4", runtime / "rostfine-e5f6a7b8"
        for folder in (old, young):
            folder.mkdir()
        (young / "lock").touch()
        for folder in (killed, old, endpoints.folder):
            os.utime(folder, (0, 0))
        running_stations()
        assert killed.is_dir(), "a process that was forked from it lives"
        os.killpg(one.pid, signal.SIGKILL)
        wait_for(lambda: [running_stations(), killed.exists()][1] is False)
    assert endpoints.folder.is_dir(), "of a run that is there"
    assert old.is_dir(), "not known to be a run's"
    assert young.is_dir(), "it may be one that is being made"


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_a_folder_in_which_somebody_listens_stays(
    endpoints: Endpoints, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a container that shares folders with this one, but not the numbers of its processes."""
    listens, gone = runtime / "rostfine-a1b2c3d4", runtime / "rostfine-e5f6a7b8"
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    with (
        registered(endpoints) as registration,
        socket.socket(socket.AF_UNIX) as one,
        socket.socket(socket.AF_UNIX) as two,
    ):
        for folder, listener in ((listens, one), (gone, two)):
            folder.mkdir()
            monkeypatch.chdir(folder)  # a path may be too long for a socket
            listener.bind("control")
            dead = {"name": folder.name, "pid": process.pid, "folder": str(folder)}
            text = registration.entry.model_copy(update=dead).model_dump_json()
            (runtime / "rostfine" / f"{folder.name}.json").write_text(text)
        one.listen()
        two.close()
        running_stations()
    assert (listens / "control").exists()
    assert not gone.exists()


def test_without_a_runtime_folder_of_the_system_a_private_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not there"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = runtime_folder()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(StationError, match="is not this user's alone"):
        runtime_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(StationError, match="is not this user's alone"):
        runtime_folder()
