"""From unlabelled clips to labelled ones: imported folders, the experts' tables, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from trainer.__main__ import main
from trainer.data.clip_files import read_clip, write_clip
from trainer.data.dataset import find_problems, open_clips

SHAPE = (4, 10, 10)


def clip(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips as a lab may have them: one subfolder per video, no table, no manifest."""
    root = tmp_path / "clips"
    for k, name in enumerate(("v1/a.npz", "v1/b.mkv", "v2/c.npz")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(root / name, clip(k))
    return root


@pytest.fixture
def imported(folder: Path) -> Path:
    """The same, imported."""
    assert main(["import-clips", str(folder), "--um-per-px", "0.25", "--fps", "15"]) == 0
    return folder


def give(imported: Path, table: str, *options: str) -> int:
    path = imported.parent / "votes.csv"
    path.write_text(table)
    return main(["votes", str(imported), "--votes", str(path), *options])


def test_a_folder_of_clips_is_imported_as_it_is(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = open_clips(imported, unlabelled=True)
    assert [row.id for row in clips.rows] == ["v1/a", "v1/b", "v2/c"]
    assert clips.sources == ["v1", "v1", "v2"]
    assert clips.shape == SHAPE
    for k in range(3):
        np.testing.assert_array_equal(clips.pixels(k), clip(k))
    assert main(["check", str(imported)]) == 0
    assert "not ready for training: 3 of 3 clips have no votes yet" in capsys.readouterr().out


def test_a_second_panel_that_lies_there_is_hashed_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "second_panel.csv").write_text("id,A,B,C,D,E\nv1/a,1,0,0,0,0\nv1/b,1,0,0,0,0\nv2/c,1,0,0,0,0\n")
    assert main(["import-clips", str(folder), "--um-per-px", "0.25", "--fps", "15"]) == 0
    (folder / "second_panel.csv").write_text("id,A,B,C,D,E\n")
    assert main(["check", str(folder)]) == 1
    assert "second_panel.csv: its content is not what" in capsys.readouterr().out.replace("\n", " ")


def test_a_table_that_lies_there_is_taken_with_its_votes(folder: Path) -> None:
    (folder / "clips.csv").write_text(
        "id,file,source,um_per_px,fps,A,B,C,D,E\none,v1/a.npz,d1,0.3,15,1,2,3,0,0\ntwo,v2/c.npz,d2,0.3,15,0,0,6,0,0\n"
    )
    assert main(["import-clips", str(folder)]) == 0
    clips = open_clips(folder)
    assert clips.votes.tolist() == [[1, 2, 3, 0, 0], [0, 0, 6, 0, 0]]


def test_nothing_is_imported_while_anything_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(folder / "v2" / "d.npz", clip(5)[:, :9])
    (folder / "v2" / "e.npz").write_text("no clip")
    assert main(["import-clips", str(folder), "--um-per-px", "0.25", "--fps", "15"]) == 1
    said = capsys.readouterr().out
    assert "line 5: shape (4, 9, 10), the first clip has (4, 10, 10)" in said
    assert "line 6: " in said
    assert "2 problems found; nothing was written" in said
    assert not (folder / "manifest.json").exists()
    assert not (folder / "clips.csv").exists()


def test_what_cannot_be_imported_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = ["--um-per-px", "0.25", "--fps", "15"]
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ([str(folder)], "give --um-per-px and --fps"),
        ([str(folder), "--um-per-px", "0", "--fps", "15"], "give --um-per-px and --fps"),
        ([str(tmp_path / "empty"), *scale], "holds no clips"),
        ([str(tmp_path / "none"), *scale], "no such folder"),
    ):
        assert main(["import-clips", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert main(["import-clips", str(folder), *scale]) == 0
    assert main(["import-clips", str(folder), *scale]) == 2


def test_votes_are_joined_by_id_in_either_form(imported: Path) -> None:
    assert give(imported, "id,A,B,C,D,E\nv2/c,0,10,30,0,0\nv1/a,1,2,3,4,5\nv1/b,,,,,\n") == 0
    rows = {row.id: row.votes for row in open_clips(imported, unlabelled=True).rows}
    assert rows == {"v1/a": (1, 2, 3, 4, 5), "v1/b": (), "v2/c": (0, 10, 30, 0, 0)}
    assert find_problems(imported) == []
    with pytest.raises(Exception, match=r"line 3: no votes yet \(1 of 3 clips have none\)"):
        open_clips(imported)
    assert give(imported, "id,rater,grade\nv1/b,r1,C\nv1/b,r2,C\nv1/b,r3,E\n") == 0
    assert open_clips(imported).votes[1].tolist() == [0, 0, 2, 0, 1]


def test_clips_without_votes_can_be_left_out(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert give(imported, "id,A,B,C,D,E\nv2/c,0,10,30,0,0\n", "--leave-out") == 0
    assert "2 were left out" in capsys.readouterr().out
    assert [row.id for row in open_clips(imported).rows] == ["v2/c"]
    assert (imported / "v1" / "a.npz").exists()


def test_other_votes_replace_only_when_asked(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    give(imported, "id,A,B,C,D,E\nv2/c,0,10,30,0,0\n")
    assert give(imported, "id,A,B,C,D,E\nv2/c,0,11,29,0,0\n") == 2
    assert "--replace" in capsys.readouterr().err
    assert give(imported, "id,A,B,C,D,E\nv2/c,0,11,29,0,0\n", "--replace") == 0
    assert open_clips(imported, unlabelled=True).rows[2].votes == (0, 11, 29, 0, 0)


BAD_VOTES = {
    "unknown clip": ("id,A,B,C,D,E\nv9/x,1,0,0,0,0\n", "1 of its ids are no clips of this folder, such as 'v9/x'"),
    "negative": ("id,A,B,C,D,E\nv1/a,-1,2,0,0,0\n", "line 2: votes are negative"),
    "nobody": ("id,A,B,C,D,E\nv1/a,0,0,0,0,0\n", "line 2: nobody voted"),
    "half": ("id,A,B,C,D,E\nv1/a,0.5,0,0,0,1\n", "line 2: votes must be whole numbers"),
    "twice": ("id,A,B,C,D,E\nv1/a,1,0,0,0,0\nv1/a,1,0,0,0,0\n", "line 3: clip 'v1/a' has votes already"),
    "no grade": (
        "id,rater,grade\nv1/a,r1,F\n",
        "line 2: rater 'r1', grade 'F'; expected a rater and one of",
    ),
    "rater twice": (
        "id,rater,grade\nv1/a,r1,A\nv1/a,r1,B\n",
        "line 3: rater 'r1' graded clip 'v1/a' already in line 2",
    ),
    "columns": ("clip,grade\nv1/a,A\n", "line 1: expected the columns id,A,B,C,D,E or id,rater,grade"),
    "short row": ("id,rater,grade\nv1/a,A\n", "line 2: rater 'A', grade ''; expected a rater"),
    "empty": ("", "votes.csv: is empty"),
    "no rows": ("id,rater,grade\n", "holds no votes"),
}


@pytest.mark.parametrize(("table", "words"), BAD_VOTES.values(), ids=BAD_VOTES)
def test_bad_votes_change_nothing(imported: Path, capsys: pytest.CaptureFixture[str], table: str, words: str) -> None:
    before = (imported / "clips.csv").read_bytes()
    capsys.readouterr()
    assert give(imported, table) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert (imported / "clips.csv").read_bytes() == before


COUNTED = {"v1/a": (1, 2, 3, 4, 5), "v1/b": (), "v2/c": (0, 10, 30, 0, 0)}
VOTES_AS_WRITTEN = {
    "plain": b"id,A,B,C,D,E\nv2/c,0,10,30,0,0\nv1/a,1,2,3,4,5\n",
    "semicolons, whole numbers as 1,0": b"id;A;B;C;D;E\r\nv2/c;0,0;10,0;30,0;0,0;0,0\r\nv1/a;1;2;3;4;5\r\n",
    "whole numbers as 1.0": b'id,A,B,C,D,E\nv2/c,"0.0","10.0","30.0","0.0","0.0"\nv1/a,1.0,2.0,3.0,4.0,5.0\n',
    "UTF-16 with tabs": "id\tA\tB\tC\tD\tE\nv2/c\t0\t10\t30\t0\t0\nv1/a\t1\t2\t3\t4\t5\n".encode("utf-16"),
    "sep=, BOM, lower case, empty rows and columns": (
        b"\xef\xbb\xbfsep=;\r\nId; a ;b;c;d;e;;\r\n;;;;;;;\r\nv2/c;0;10;30;0;0;;\r\nv1/a;1;2;3;4;5;;\r\nv1/b;;;;;;;\r\n"
    ),
    "row numbers in front, other order": b'"","E","D","C","B","A","id"\n"1",0,0,30,10,0,"v2/c"\n"2",5,4,3,2,1,"v1/a"\n',
    "one row per vote, Windows-1252": b"Rater;ID;Grade\r\nM\xfcller;v1/a;a\r\n"
    + b"".join(b"r%d;v1/a;%c\r\n" % (n, grade) for n, grade in enumerate(b"BBCCCDDDDEEEEE"))
    + b"".join(b"r%d;v2/c;%c\r\n" % (n, grade) for n, grade in enumerate(b"B" * 10 + b"C" * 30)),
}


@pytest.mark.parametrize("content", VOTES_AS_WRITTEN.values(), ids=VOTES_AS_WRITTEN)
def test_votes_are_read_however_a_program_writes_them(imported: Path, content: bytes) -> None:
    path = imported.parent / "votes.csv"
    path.write_bytes(content)
    assert main(["votes", str(imported), "--votes", str(path)]) == 0
    assert {row.id: row.votes for row in open_clips(imported, unlabelled=True).rows} == COUNTED


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Clips whose files and ids are numbers and pairs of numbers, as earlier versions of this program made them."""
    root = tmp_path / "numbered"
    (root / "clips").mkdir(parents=True)
    rows = []
    for k, name in enumerate(("000000", "000001", "12-2")):
        write_clip(root / f"clips/{name}.npz", clip(k))
        rows.append(f"{name},clips/{name}.npz,d{k},0.25,15,,,,,\n")
    (root / "clips.csv").write_text("id,file,source,um_per_px,fps,A,B,C,D,E\n" + "".join(rows))
    assert main(["import-clips", str(root)]) == 0
    return root


def test_zeros_that_excel_dropped_are_put_back_and_that_is_said(
    numbered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row.id for row in open_clips(numbered, unlabelled=True).rows] == ["000000", "000001", "12-2"]
    assert give(numbered, "id;A;B;C;D;E\n0;1;0;0;0;0\n1;0;1;0;0;0\n12-2;0;0;1;0;0\n") == 0
    assert "2 ids are not as in clips.csv and were matched: '0' is '000000'" in capsys.readouterr().out
    assert open_clips(numbered).votes.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("date", ["12-Feb", "2-Dec", "02. Dez"])
def test_a_date_that_was_an_id_is_refused_with_the_cure(
    numbered: Path, capsys: pytest.CaptureFixture[str], date: str
) -> None:
    assert give(numbered, f"id,A,B,C,D,E\n0,1,0,0,0,0\n{date},0,0,1,0,0\n") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{date!r} is a date: a spreadsheet made it of an id such as 12-2; copy the ids from clips.csv again" in line
    assert not any(row.votes for row in open_clips(numbered, unlabelled=True).rows)


def test_two_rows_that_mean_one_clip_are_refused(numbered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert give(numbered, "id,A,B,C,D,E\n0,1,0,0,0,0\n000000,0,0,1,0,0\n") == 2
    assert "two of its ids mean clip '000000'" in capsys.readouterr().err


def test_ids_made_of_file_names_survive_a_spreadsheet(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    root.mkdir()
    for k, name in enumerate(("000000", "12-2", "mar-3", "s1-3")):
        write_clip(root / f"{name}.npz", clip(k))
    assert main(["import-clips", str(root), "--um-per-px", "0.25", "--fps", "15"]) == 0
    assert [row.id for row in open_clips(root, unlabelled=True).rows] == [
        "clip-000000", "clip-12-2", "clip-mar-3", "s1-3"
    ]  # fmt: skip
    # Votes may name the files, as the raters saw them.
    assert give(root, "id,A,B,C,D,E\n0,1,0,0,0,0\n12-2,0,1,0,0,0\nclip-mar-3,0,0,1,0,0\ns1-3,0,0,0,1,0\n") == 0
    assert open_clips(root).votes.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_clips_table_out_of_excel_is_taken(folder: Path) -> None:
    (folder / "clips.csv").write_bytes(
        "ID;File;Source;um/px;FPS;A;B;C;D;E;\r\none;v1/a.npz;Müller;0,325;16,667;1,0;2;3;0;0;\r\n"
        "two;v2/c.npz;d2;0,325;16,667;;;;;;\r\n".encode("cp1252")
    )
    assert main(["import-clips", str(folder)]) == 0
    rows = open_clips(folder, unlabelled=True).rows
    assert [(row.source, row.um_per_px, row.fps, row.votes) for row in rows] == [
        ("Müller", 0.325, 16.667, (1, 2, 3, 0, 0)), ("d2", 0.325, 16.667, ())
    ]  # fmt: skip
    assert find_problems(folder) == []


def test_both_kinds_of_file_hold_the_same_pixels_and_equal_clips_are_equal_files(tmp_path: Path) -> None:
    for ending in (".npz", ".mkv"):
        hashes = {write_clip(tmp_path / f"{name}{ending}", clip(0)) for name in "ab"}
        assert len(hashes) == 1
        np.testing.assert_array_equal(read_clip(tmp_path / f"a{ending}"), clip(0))


def test_video_that_is_not_lossless_grey_is_refused(tmp_path: Path) -> None:
    import av

    for codec, pixels in (("mpeg4", "yuv420p"), ("ffv1", "yuv420p")):
        with av.open(str(tmp_path / "v.mkv"), "w") as container:
            stream = container.add_stream(codec, rate=15)
            stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32), np.uint8), format="gray")))
            container.mux(stream.encode(None))
        with pytest.raises(Exception, match=rf"expected lossless grey video .* got {codec}, {pixels}"):
            read_clip(tmp_path / "v.mkv")
    whole = tmp_path / "whole.mkv"
    write_clip(whole, clip(0))
    (tmp_path / "v.mkv").write_bytes(whole.read_bytes()[:400])
    with pytest.raises(Exception, match="expected lossless grey video"):
        read_clip(tmp_path / "v.mkv")
    with pytest.raises(Exception, match="clips are written as"):
        write_clip(tmp_path / "v.avi", clip(0))
