"""The whole program with its live view: the link, what it shows, and that the run does not depend on it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from station.build_info import ROOT
from tests.support.page_client import next_picture, open_page, say
from tests.support.station_program import Station, station_processes


@contextmanager
def running(station: Station, *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The program with its live view, and the link that it prints."""
    command = station.command(*station.small, "--headless", "--view", *options)
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("view"):
                break
        assert lines[-1].startswith("view"), lines
        yield process, lines[-1].split()[1]
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        assert process.wait(20.0) == 0, output
    assert station.left() == []


def view_process(process: "subprocess.Popen[str]", link: str) -> psutil.Process:
    port = int(link.split(":")[2].split("/")[0])
    for child in station_processes(process):
        if any(connection.laddr.port == port for connection in child.net_connections("tcp")):
            return child
    raise AssertionError("nobody listens at the link")


def test_the_live_view_shows_what_the_station_tracks(station: Station) -> None:
    with running(station) as (_, link), open_page(link) as page:
        say(page, kind="look", scale=0.5, cards=[1, 2, 3, 4])
        graded = None
        for _ in range(150):
            head, _, crops = next_picture(page, 20.0)
            say(page, kind="shown", frame_seq=head["frame_seq"])
            graded = next((card for card in head["cards"] if card["holds"]), None)
            if graded:
                break
        assert graded is not None
        assert graded["worth"].startswith("demo")
        assert graded["sperm_id"] in crops
        assert head["tracked"]


def test_the_link_is_in_no_record(station: Station) -> None:
    with running(station) as (_, link):
        time.sleep(2.0)
    token = link.rstrip("/").rpartition("/")[2]
    files = [path for path in (station.folder / "data").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if token.encode() in path.read_bytes()]


def test_a_view_that_dies_comes_back_under_its_link_and_the_run_goes_on(station: Station) -> None:
    with running(station) as (process, link):
        os.kill(view_process(process, link).pid, signal.SIGKILL)
        assert process.stdout is not None
        assert "view" in next(line for line in process.stdout if line.startswith("!") and "process" in line)
        assert "grades" in next(line for line in process.stdout if " frames, " in line)
        with open_page(link) as page:  # it has come back under the same link
            say(page, kind="look", scale=0.5, cards=[])
            next_picture(page, 20.0)


def test_a_view_that_stands_still_holds_nobody_up_and_goes_on_afterwards(station: Station) -> None:
    with running(station) as (process, link):
        stopped = view_process(process, link)
        stopped.suspend()
        assert process.stdout is not None
        progress = (int(line.split()[2]) for line in process.stdout if " frames, " in line)
        first, second = next(progress), next(progress)  # five seconds apart
        assert second - first > 50
        stopped.resume()
        with open_page(link) as page:
            say(page, kind="look", scale=0.5, cards=[])
            # The first may be the one from before it stood still: the page says how old a picture is.
            while (head := next_picture(page, 20.0)[0])["frame_seq"] < second - 5:
                say(page, kind="shown", frame_seq=head["frame_seq"])


def test_a_port_that_is_taken_is_said_in_one_line(station: Station) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = station.folder / "view.toml"
        config.write_text(f"[view]\nport = {other.getsockname()[1]}\n")
        done = station.run("--config", str(config), "--view", "--duration", "2")
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_torch_in_the_view(station: Station) -> None:
    done = subprocess.run(
        [*station.command()[:1], "-c", "import sys, station.view.process, station.view.server; "
         "sys.exit('torch' in sys.modules)"],
        cwd=ROOT, env=station.environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0
