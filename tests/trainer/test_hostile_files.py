"""Files that somebody else made, or that are damaged: one line that says what is wrong, soon, and little memory."""

import contextlib
import dataclasses
import json
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.network_config import NetworkConfig
from station.errors import InputError
from trainer.data.clip_ids import match_ids
from trainer.data.clip_table import lies_inside
from trainer.data.tables import read_table
from trainer.data.video_names import resolve
from trainer.model.weight_files import FORMAT
from trainer.model.weights import load_weights
from trainer.rating.database import DATABASE, create_database, open_database
from trainer.rating.results import utc
from trainer.rating.store import Store
from trainer.rating.study import parse_study
from trainer.studies.results import read_cosines
from trainer.studies.study import read_study

DIGITS = "1" * 5000
"""More than Python turns into a number at once."""
DEEP = "x = " + "[" * 100_000


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", [DEEP, f"seed = {DIGITS}"])
def test_toml_beyond_all_bounds(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    assert "study.toml: " in refused(lambda: read_study(tmp_path / "study.toml"))
    assert "study.toml: " in refused(lambda: parse_study(text, "study.toml"))


def test_ids_and_names_beyond_all_bounds() -> None:
    assert match_ids([DIGITS, "1"], ["clip-000001"]) == {"1": "clip-000001"}
    assert resolve("film" + ":0" * 2000, {"film.avi": Path("film.avi")}) == "film.avi"
    assert resolve("other" + ":" * 2000, {"film.avi": Path("film.avi")}) is None


@pytest.mark.parametrize("header", ["a," + "b" * 140_000, ",".join(f"c{n}" for n in range(20_000))])
def test_headers_beyond_all_bounds(tmp_path: Path, header: str) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n")
    refused(lambda: read_table(tmp_path / "t.csv", ("a",)))


def test_a_link_in_a_circle_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "0.npz").symlink_to(tmp_path / "0.npz")
    assert not lies_inside(tmp_path, "0.npz")


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"width": 4608}, "Error"), ({"depth": 10**9}, "1000000000 layers"), ({"width": 10**15}, "valid")],
)
def test_weights_that_announce_a_huge_network_take_no_memory_for_it(
    tmp_path: Path, changes: dict[str, int], why: str
) -> None:
    network = json.dumps(dataclasses.asdict(NetworkConfig()) | changes)
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", {"format": FORMAT, "network": network, "origin": ""})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert why in refused(lambda: load_weights(tmp_path / "w.safetensors"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    "state",
    [
        {"model": 5, "network": {}},
        {"model": {"a": 5}, "network": {}},
        {"model": {}, "network": []},
        {"model": {}, "network": {"system": "r3d", "width": 16, "depth": float("inf"), "image_px": 32}},
    ],
)
def test_checkpoints_of_something_else(tmp_path: Path, state: dict[str, Any]) -> None:
    torch.save(state, tmp_path / "last.pt")
    assert "last.pt: its " in refused(lambda: load_weights(tmp_path / "last.pt"))


def test_a_log_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert "line 2 is damaged" in refused(lambda: read_cosines(tmp_path / "log.jsonl"))


def test_a_database_in_use_is_not_called_damaged(tmp_path: Path) -> None:
    """Whoever brings back a backup loses the votes that came later."""
    path = tmp_path / DATABASE
    create_database(path)

    def write() -> None:
        with Store(path) as store:
            store._db.execute("PRAGMA busy_timeout = 0")
            with store.all_or_nothing():
                pass

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        told = refused(write)
    assert "another program is using it" in told
    assert "backup" not in told
    write()


def test_a_database_of_other_tables_and_one_that_is_damaged_behind_its_first_page(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    create_database(path)
    open_database(path).close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    def read() -> None:
        with Store(path) as store:
            store.log()

    assert "bring back a backup" in refused(read)
    path.unlink()
    create_database(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE log")
        database.commit()
    assert "its tables are not those of a study" in refused(lambda: open_database(path))
    for time in ("soon", 9 * 10**17):
        assert "bring back a backup" in refused(lambda time=time: utc(time))
