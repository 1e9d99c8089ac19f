"""The clip format: what is written reads back, and every fault is found and named by its line."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from station.errors import InputError
from station.files import write_atomically
from trainer.__main__ import main
from trainer.data.clip_files import read_clip, write_clip
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import find_problems, open_clips, write_table

SHAPE = (4, 10, 10)


def make_folder(root: Path, count: int = 4) -> Path:
    """Write a small folder of clips."""
    (root / "clips").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, hashes = [], {}
    for index in range(count):
        file = f"clips/{index}.npz"
        hashes[file] = write_clip(root / file, rng.integers(0, 256, SHAPE, np.uint8))
        rows.append(ClipRow(f"c{index}", file, f"video{index // 2}", 0.25, 15.0, (0, 10 + index, 20, 0, 1)))
    write_table(root, rows, hashes, SHAPE, {"command": "test"})
    return root


def edit_table(root: Path, line: int, new: Callable[[list[str]], list[str]]) -> None:
    """Change one line of clips.csv (1 is the header) and its hash in the manifest."""
    lines = (root / "clips.csv").read_text().splitlines()
    lines[line - 1] = ",".join(new(lines[line - 1].split(",")))
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["sha256"]["clips.csv"] = hashlib.sha256((root / "clips.csv").read_bytes()).hexdigest()
    (root / "manifest.json").write_text(json.dumps(manifest))


def cell(column: int, value: str) -> Callable[[list[str]], list[str]]:
    """Return an edit of one cell."""
    return lambda cells: [*cells[:column], value, *cells[column + 1 :]]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    clips = open_clips(make_folder(tmp_path / "data"))
    assert len(clips) == 4
    assert clips.sources == ["video0", "video0", "video1", "video1"]
    assert clips.shape == SHAPE
    assert clips.votes[3].tolist() == [0, 13, 20, 0, 1]
    np.testing.assert_allclose(clips.distributions.sum(axis=1), 1.0)
    np.testing.assert_array_equal(clips.pixels(0), np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8))
    assert find_problems(clips.root) == []


def test_a_subset_holds_the_clips_in_the_order_asked_for(tmp_path: Path) -> None:
    clips = open_clips(make_folder(tmp_path / "data"))
    some = clips.subset([3, 1])
    assert [row.id for row in some.rows] == ["c3", "c1"]
    assert some.votes.tolist() == clips.votes[[3, 1]].tolist()
    np.testing.assert_array_equal(some.pixels(0), clips.pixels(3))
    assert (some.root, some.sha256) == (clips.root, clips.sha256)
    assert len(clips.subset([])) == 0


def test_equal_clips_are_equal_files(tmp_path: Path) -> None:
    clip = np.full(SHAPE, 7, np.uint8)
    assert write_clip(tmp_path / "a.npz", clip) == write_clip(tmp_path / "b.npz", clip)


BAD_ROWS = {
    "file missing": (cell(1, "clips/9.npz"), "line 3: file 'clips/9.npz' is missing"),
    "file outside": (cell(1, "../x.npz"), "line 3: file '../x.npz' lies outside the folder"),
    "negative votes": (cell(6, "-3"), "line 3: votes are negative"),
    "nobody voted": (lambda cells: [*cells[:5], "0", "0", "0", "0", "0"], "line 3: nobody voted"),
    "no number": (cell(7, "many"), "line 3: votes must be whole numbers"),
    "half a vote": (cell(7, "1.5"), "line 3: votes must be whole numbers"),
    "one vote empty": (cell(7, ""), "line 3: votes must be whole numbers"),
    "scale no number": (cell(3, "fine"), "line 3: um_per_px and fps must be numbers"),
    "file twice": (cell(1, "clips/0.npz"), "line 3: file 'clips/0.npz' is already in line 2"),
    "id twice": (cell(0, "c0"), "line 3: id 'c0' is already in line 2"),
    "another rate": (cell(4, "30"), "line 3: 30 frames a second, the first clip has 15"),
    "no scale": (cell(3, "0"), "line 3: um_per_px must be from 0.001 to 1000, is 0"),
    **{
        f"rate of {text}": (cell(4, text), "line 3: fps must be from 0.001 to 100000, is")
        for text in ("0", "-5", "1e-300", "1e30")
    },
    **{f"rate of {text}": (cell(4, text), "line 3: um_per_px and fps must be numbers") for text in ("inf", "nan")},
    "endless votes": (cell(6, "1e300"), "line 3: votes are more than 1,000,000"),
    "empty source": (cell(2, ""), "line 3: source is empty"),
    "too few values": (lambda cells: cells[:-1], "line 3: votes must be whole numbers"),
}


@pytest.mark.parametrize(("edit", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, edit: Callable[[list[str]], list[str]], message: str) -> None:
    root = make_folder(tmp_path / "data")
    edit_table(root, 3, edit)
    assert any(message in problem for problem in find_problems(root))
    with pytest.raises(InputError, match=r"clips\.csv, line 3"):
        open_clips(root)


def test_every_bad_row_is_listed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    edit_table(root, 3, cell(6, "-3"))
    edit_table(root, 5, cell(1, "clips/none.npz"))
    lines = [
        problem.split("clips.csv, ")[1].split(":")[0] for problem in find_problems(root) if "clips.csv," in problem
    ]
    assert lines == ["line 3", "line 5"]


def test_an_altered_and_a_swapped_clip_are_noticed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    clip = read_clip(root / "clips/1.npz").copy()
    clip[0, 0, 0] ^= 1
    write_clip(root / "clips/1.npz", clip)
    assert [problem.split(": its")[0] for problem in find_problems(root)] == [
        f"{root / 'clips.csv'}, line 3: clips/1.npz"
    ]
    with pytest.raises(InputError, match="altered or swapped"):
        open_clips(root)

    swapped = make_folder(tmp_path / "swapped")
    (swapped / "clips/0.npz").rename(swapped / "kept")
    (swapped / "clips/1.npz").rename(swapped / "clips/0.npz")
    (swapped / "kept").rename(swapped / "clips/1.npz")
    assert len(find_problems(swapped)) == 2


def test_damaged_clips_are_named_by_their_line_even_where_the_hash_fits(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    (root / "clips/0.npz").write_bytes(b"no clip")
    np.savez(root / "clips/2.npz", clip=np.zeros(SHAPE))
    manifest = json.loads((root / "manifest.json").read_text())
    for file in ("clips/0.npz", "clips/2.npz"):
        manifest["sha256"][file] = hashlib.sha256((root / file).read_bytes()).hexdigest()
    (root / "manifest.json").write_text(json.dumps(manifest))
    first, third = find_problems(root)
    assert "clips.csv, line 2: " in first
    assert "expected an npz file" in first
    assert "clips.csv, line 4: " in third
    assert "must be (T, H, W) uint8, is (4, 10, 10) float64" in third


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_that_leads_out_of_the_folder_is_noticed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    (root / "clips/1.npz").rename(tmp_path / "elsewhere.npz")
    (root / "clips/1.npz").symlink_to(tmp_path / "elsewhere.npz")
    assert find_problems(root) == [f"{root / 'clips.csv'}, line 3: file 'clips/1.npz' lies outside the folder"]


@pytest.mark.parametrize("file", ["clips.csv", "clips/0.npz"])
def test_a_file_of_gigabytes_is_not_read(tmp_path: Path, file: str) -> None:
    root = make_folder(tmp_path / "data")
    with (root / file).open("r+b") as opened:
        opened.truncate(13 << 30)  # a hole: it takes no room on the disk
    assert any("it is larger than" in problem for problem in find_problems(root))


def test_a_manifest_that_names_files_outside(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    (tmp_path / "outside").write_bytes(b"x")
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["sha256"] |= {"../outside": "0" * 64, "a\0b": ""}
    (root / "manifest.json").write_text(json.dumps(manifest))
    problems = find_problems(root)
    assert any("outside: lies outside the folder" in problem for problem in problems)
    assert any("and missing" in problem for problem in problems)


def test_check_lists_every_problem_and_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(tmp_path / "data")
    assert main(["check", str(root)]) == 0
    assert "no problems found" in capsys.readouterr().out
    edit_table(root, 3, cell(6, "-3"))
    (root / "clips/3.npz").write_bytes(b"")
    assert main(["check", str(root)]) == 1
    said = capsys.readouterr().out
    assert "line 3: votes are negative" in said
    assert "line 5: clips/3.npz: its content is not what manifest.json promises" in said
    assert "\n2 problems found in" in said


def test_an_altered_vote_is_noticed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    text = (root / "clips.csv").read_text()
    (root / "clips.csv").write_text(text.replace(",13,20,", ",20,13,"))
    assert len(find_problems(root)) == 1


def test_a_clip_of_another_shape_is_noticed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    digest = write_clip(root / "clips/2.npz", np.zeros((4, 10, 11), np.uint8))
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["sha256"]["clips/2.npz"] = digest
    (root / "manifest.json").write_text(json.dumps(manifest))
    assert find_problems(root) == [
        f"{root / 'clips.csv'}, line 4: clips/2.npz: shape (4, 10, 11), expected (4, 10, 10)"
    ]


NO_FOLDERS = {
    "absent": lambda root: shutil.rmtree(root),
    "unfinished": lambda root: (root / "manifest.json").unlink(),
    "of something else": lambda root: (root / "manifest.json").write_text('{"format": "other"}'),
    "half a manifest": lambda root: (root / "manifest.json").write_text('{"format": "rostfine'),
    "no table": lambda root: (root / "clips.csv").unlink(),
    "other columns": lambda root: edit_table(root, 1, cell(0, "name")),
    "no rows": lambda root: (root / "clips.csv").write_text((root / "clips.csv").read_text().splitlines()[0] + "\n"),
}


@pytest.mark.parametrize("spoil", NO_FOLDERS.values(), ids=NO_FOLDERS)
def test_what_is_no_folder_of_clips_is_refused_in_one_line(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    root = make_folder(tmp_path / "data")
    spoil(root)
    assert find_problems(root)
    with pytest.raises(InputError) as caught:
        open_clips(root)
    assert "\n" not in str(caught.value)


def test_a_clip_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no clip")
    np.savez(tmp_path / "float.npz", clip=np.zeros((2, 3, 3)))
    np.savez(tmp_path / "other.npz", video=np.zeros((2, 3, 3), np.uint8))
    for name in ("text", "float", "other", "absent"):
        with pytest.raises(InputError, match=f"{name}.npz"):
            read_clip(tmp_path / f"{name}.npz")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
