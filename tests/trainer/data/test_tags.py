"""Tables of tags out of Excel, ImageJ and scripts, and the videos that they name: right values, or the cure."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from station.errors import InputError
from trainer.data.tags import Tag, assign, read_tags
from trainer.data.video_names import find_videos, resolve

HEADER = ("video", "id", "x", "y", "source")
ROWS = (("d07.mp4", "1", "161.2", "164.4", "d07"), ("d07.mp4", "2", "240.9", "120.1", "d07"))
RIGHT = (
    Tag(2, "d07.mp4", "1", 161.2, 164.4, None, 0, "d07"),
    Tag(3, "d07.mp4", "2", 240.9, 120.1, None, 0, "d07"),
)


def written(
    separator: str = ",",
    decimal: str = ".",
    end: str = "\r\n",
    header: tuple[str, ...] = HEADER,
    more: tuple[str, ...] = (),
    edit: Callable[[str], str] = lambda cell: cell,
) -> str:
    """Return the table as a program would write it."""
    rows = [
        (video, ident, x.replace(".", decimal), y.replace(".", decimal), source) for video, ident, x, y, source in ROWS
    ]
    return "".join(separator.join([*map(edit, row), *more]) + end for row in (header, *rows))


AS_WRITTEN = {
    "plain": written().encode(),
    "UTF-8 with BOM": b"\xef\xbb\xbf" + written().encode(),
    "semicolons": written(";").encode(),
    "semicolons and decimal commas": written(";", ",").encode("cp1252"),
    "quoted decimal commas": written(",", ",", edit=lambda cell: f'"{cell}"').encode(),
    "tabs and decimal commas": written("\t", ",").encode(),
    "UTF-16 LE with BOM, tabs": b"\xff\xfe" + written("\t").encode("utf-16-le"),
    "UTF-16 BE with BOM, tabs": b"\xfe\xff" + written("\t").encode("utf-16-be"),
    "UTF-16 LE without BOM": written("\t").encode("utf-16-le"),
    "UTF-16 BE without BOM": written(";", ",").encode("utf-16-be"),
    "upper case": written(header=("Video", "ID", "X", "Y", "Source")).encode(),
    "spaces": written(header=(" video ", "id ", " X", "Y (px)", "source")).encode(),
    "a space after each comma": written(", ").encode(),
    "quoted": written(edit=lambda cell: f'"{cell}"').encode(),
    "sep= line": ("sep=;\r\n" + written(";")).encode(),
    "sep= line with BOM": b"\xef\xbb\xbf" + ("sep=;\r\n" + written(";", ",")).encode(),
    "lines end as on old Macs": written(end="\r").encode(),
    "lines end as on Unix": written(end="\n").encode(),
    "empty rows": ("\r\n" + written().replace("d07\r\n", "d07\r\n,,,,\r\n", 1) + ",,,,\r\n\r\n").encode(),
    "empty columns": written(more=("", "")).encode(),
    "separators at the ends of rows alone": written().replace("d07\r\n", "d07,,\r\n").encode(),
    "numbers of rows in front (R, pandas)": "".join(
        f"{number},{line}\n" for number, line in zip(['""', '"1"', '"2"'], written().split("\r\n"), strict=False)
    ).encode(),
    "whole rows in quotes": "".join(f'"{line}"\r\n' for line in written().split("\r\n")[:-1]).encode(),
    "columns in another order": b"id;y;x;source;video\n1;164,4;161,2;d07;d07.mp4\n2;120,1;240,9;d07;d07.mp4\n",
    "powers of ten": written().replace("161.2", "1.612E+02").encode(),
}


@pytest.mark.parametrize("content", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_a_table_is_read_however_a_program_writes_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    found = read_tags(tmp_path / "t.csv")
    assert found.problems == ()
    assert [(t.video, t.id, t.x, t.y, t.um_per_px, t.frame, t.source) for t in found.tags] == [
        (t.video, t.id, t.x, t.y, t.um_per_px, t.frame, t.source) for t in RIGHT
    ]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    for start, first in (("", 2), ("sep=,\r\n", 3), ("\r\n\r\n", 4)):
        (tmp_path / "t.csv").write_text(start + written(end="\n"))
        assert [tag.line for tag in read_tags(tmp_path / "t.csv").tags] == [first, first + 1]


@pytest.mark.parametrize(
    ("encoding", "end"), [("cp1252", "\r\n"), ("mac_roman", "\r"), ("utf-8", "\n"), ("utf-16", "\n")]
)
def test_names_keep_their_letters(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "t.csv").write_bytes(written(end=end).replace(",d07", ",Müller").encode(encoding))
    assert {tag.source for tag in read_tags(tmp_path / "t.csv").tags} == {"Müller"}


def test_how_a_table_was_read_is_said_where_it_is_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(written())
    assert read_tags(path).notices == ()
    path.write_bytes(written(";", ",").replace("d07\r", "Müller\r").encode("cp1252"))
    assert read_tags(path).notices == (
        f"{path}: read as a table with ';' between columns, decimal commas, not UTF-8 but Windows-1252",
    )


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        (["v;1;1.234,5;164,4"], [(1234.5, 164.4)]),
        (['v,1,"1,234.5",164.4'], [(1234.5, 164.4)]),
        (["v;1;1 234,5;164,4"], [(1234.5, 164.4)]),
        (["v;1;1\u00a0234,5;164,4", "v;2;1\u202f001;2"], [(1234.5, 164.4), (1001.0, 2.0)]),
        (["v;1;1'234.5;164.4"], [(1234.5, 164.4)]),
        (["v;1;1.234;164,4"], [(1234.0, 164.4)]),
        (['v,1,"1,234",164.4'], [(1234.0, 164.4)]),
        (["v;1;161,200;164,400"], [(161.2, 164.4)]),
        (["v;1;161.200;4.400"], [(161.2, 4.4)]),
        (['v,1,"161,200","1,400"'], [(161.2, 1.4)]),
        (["v,1,161.200,164.400", "v,2,240.900,120"], [(161.2, 164.4), (240.9, 120.0)]),
        (["v\t1\t161.200\t164.400"], [(161.2, 164.4)]),
        (["v,1,161,164", 'v,2,"1,0","2,0"'], [(161.0, 164.0), (1.0, 2.0)]),
        (["v;1;161;1,234", "v;2;,5;7"], [(161.0, 1.234), (0.5, 7.0)]),
        (["v,1,−5,+7"], [(-5.0, 7.0)]),
    ],
)
def test_numbers_are_read_as_they_were_meant(tmp_path: Path, rows: list[str], right: list[tuple[float, float]]) -> None:
    separator = rows[0][1]
    (tmp_path / "t.csv").write_text("\n".join([separator.join(HEADER[:4]), *rows]) + "\n", encoding="utf-8")
    found = read_tags(tmp_path / "t.csv")
    assert found.problems == ()
    assert [(tag.x, tag.y) for tag in found.tags] == right


DOUBTFUL = {
    "thousands or decimals": (['v,1,"1,234","640"'], r"line 2: x '1,234' may be 1\.234 or 1234; write all numbers"),
    "points between semicolons": (["v;1;1.234;1.052", "v;2;1.433;2.040"], r"x '1\.234' may be 1\.234 or 1234"),
    "commas between tabs": (["v\t1\t1,234\t640", "v\t2\t640\t640"], r"x '1,234' may be 1\.234 or 1234"),
    "a point among whole numbers": (["v\t1\t1.097\t216"], r"x '1\.097' may be 1\.097 or 1097"),
    "points in all": (["v,1,1.920,1.435"], r"x '1\.920' may be 1\.920 or 1920"),
    "decimal commas between commas": (["v,1,161,2,164,4"], "line 2: expected 4 values, got 6.*decimal commas need ';'"),
    "one of them between commas": (["v,1,161,164", "v,2,161,2,164"], "line 3: expected 4 values, got 5"),
    "the same with empty cells behind": (["v,1,161,2,,"], "line 2: expected 4 values, got 6"),
    "both marks": (["v;1;161,2;164.4"], r"164\.4 \(line 2\) has a decimal point, 161,2 \(line 2\) a decimal comma"),
}


@pytest.mark.parametrize(("rows", "words"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_number_that_could_be_two_is_refused(tmp_path: Path, rows: list[str], words: str) -> None:
    (tmp_path / "t.csv").write_text("\n".join([rows[0][1].join(HEADER[:4]), *rows]) + "\n")
    with pytest.raises(InputError, match=words):
        read_tags(tmp_path / "t.csv")


BAD_ROWS = {
    "shifted columns": ("video,id,x,y,source\nv,1,1,258.5,112.25\n", "source '112.25' is a number"),
    "a date for an id": ("video;id;x;y\nv;12-Feb;1,5;2,5\n", "'12-Feb' is a date: a spreadsheet made it"),
    "a German date": ("video;id;x;y\nv;02. Dez;1,5;2,5\n", "is a date"),
    "a power for an id": ("video;id;x;y\nv;1,00E+05;1,5;2,5\n", "a number in powers of ten"),
    "an error for an id": ("video;id;x;y\nv;#NAME?;1,5;2,5\n", "a spreadsheet's error"),
    "no number": ("video,id,x,y\nv,1,########,2\n", "x: '########' is no number"),
    "half a frame": ("video,id,x,y,frame\nv,1,1,2,3.5\n", "frame: '3.5' is no whole number"),
    "missing value": ("video,id,x,y\nv,1,1\n", "y: is empty"),
    "not finite": ("video,id,x,y\nv,1,nan,2\n", "x: 'nan' is no number"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_cannot_be_used_is_named_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    found = read_tags(tmp_path / "t.csv")
    assert found.tags == ()
    with pytest.raises(AssertionError, match=rf"t\.csv, line 2: .*{words}"):
        raise AssertionError(*found.problems)


FOREIGN = {
    "xlsx": (b"PK\x03\x04rest", r"is a workbook \(\.xlsx, \.ods\).*save the table as CSV"),
    "xls": (b"\xd0\xcf\x11\xe0rest", r"is an Excel workbook \(\.xls\).*save the table as CSV"),
    "html": (b"<html><table>", "is a web page"),
    "binary": (bytes(range(256)) * 9, "is no text; save the table as CSV"),
    "empty": (b"", "is empty"),
    "blank": (b"\r\n,,,\r\n", "is empty"),
    "other columns": (b"film,id,x,y\n1,2,3,4\n", "line 1: expected the columns video,id,x,y .*; got film,id,x,y"),
    "nameless column": (b"video,id,x,y,,source\nv,1,2,3,7,s\n", "line 1: column 5 has values but no name"),
    "column twice": (b"video,id,x,y,X\nv,1,2,3,7\n", "line 1: column 'x' appears twice"),
    "header alone": (b"video,id,x,y\n", "holds no tags"),
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_table_of_tags_is_named_with_the_way_out(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_tags(tmp_path / "t.csv")
    assert str(caught.value).startswith(f"--tags {tmp_path / 't.csv'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such devices")
def test_what_never_ends_is_not_read() -> None:
    with pytest.raises(InputError, match="it is a device, not a file"):
        read_tags(Path("/dev/zero"))


def test_scale_frame_and_donor_may_stand_in_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("video,id,x,y,um/px,frame,source\nv,1,5,6,0.3,,donor7\nv,2,5,6,,12.0,\n")
    assert read_tags(path).tags == (
        Tag(2, "v", "1", 5.0, 6.0, 0.3, 0, "donor7"), Tag(3, "v", "2", 5.0, 6.0, None, 12, "v")
    )  # fmt: skip


IMAGEJ = {
    "points": (" ,X,Y\n1,161.2,164.4\n2,240.9,120.1\n", [0, 0]),
    "a stack": (" ,X,Y,Slice\n1,161.2,164.4,1\n2,240.9,120.1,13\n", [0, 12]),
    "a stack, all in its first": (" ,X,Y,Slice\n1,161.2,164.4,1\n2,240.9,120.1,1\n", [0, 0]),
    "a hyperstack in time": (" ,X,Y,Ch,Slice,Frame\n1,161.2,164.4,1,1,1\n2,240.9,120.1,1,1,13\n", [0, 12]),
    "a film as slices": (" ,X,Y,Ch,Slice,Frame\n1,161.2,164.4,1,3,1\n2,240.9,120.1,1,13,1\n", [2, 12]),
    "no slice": (" ,X,Y,Slice\n1,161.2,164.4,0\n2,240.9,120.1,0\n", [0, 0]),
    "tabs, with measures": (" \tArea\tMean\tX\tY\tSlice\n1\t0\t120.5\t161.200\t164.400\t2\n"
                            "2\t0\t99\t240.900\t120.100\t2\n", [1, 1]),
    "labels": (" ,Label,X,Y\n1,d07.mp4,161.2,164.4\n2,d07.mp4:0013,240.9,120.1\n", [0, 0]),
    "German, out of Excel": (";X;Y;Slice\r\n1;161,2;164,4;1\r\n2;240,9;120,1;2\r\n", [0, 1]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "frames"), IMAGEJ.values(), ids=IMAGEJ)
def test_results_of_imagej_are_tags_of_the_one_video(tmp_path: Path, content: str, frames: list[int]) -> None:
    (tmp_path / "t.csv").write_text(content)
    videos = {"d07.mp4": tmp_path / "d07.mp4"}
    found = read_tags(tmp_path / "t.csv", videos)
    assert found.problems == ()
    assert "read as ImageJ's results, X and Y in px, frames counted from 1" in found.notices[-1]
    by_video, problems = assign(found.tags, videos)
    assert problems == []
    tags = by_video["d07.mp4"]
    assert [(tag.id, tag.x, tag.y, tag.frame) for tag in tags] == [
        ("1", 161.2, 164.4, frames[0]), ("2", 240.9, 120.1, frames[1])
    ]  # fmt: skip
    assert {tag.source for tag in tags} == {"d07.mp4"}


def test_results_of_imagej_that_leave_a_doubt_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(" ,X,Y,Slice\n1,161.2,164.4,1\n")
    with pytest.raises(InputError, match="names no video, and 2 are given; give the one that was measured"):
        read_tags(path, {"a.mp4": path, "b.mp4": path})
    path.write_text(" ,X,Y,Slice,Frame\n1,161.2,164.4,2,3\n")
    with pytest.raises(InputError, match="both Slice and Frame go beyond 1"):
        read_tags(path, {"a.mp4": path})


def test_videos_are_found_by_name_and_without_ending(tmp_path: Path) -> None:
    for name in ("a/1.avi", "a/2.avi", "b/1.avi", "b/.hidden", "p/01.png", "p/02.png", "s.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    videos = find_videos([tmp_path])
    assert set(videos) == {"a/1.avi", "a/2.avi", "b/1.avi", "p", "s.tif", tmp_path.name}
    assert resolve("a/2", videos) == "a/2.avi"
    assert resolve("a/2.avi", videos) == "a/2.avi"
    assert resolve("1", videos) is None
    assert find_videos([tmp_path / "a" / "1.avi"]) == {"1.avi": tmp_path / "a" / "1.avi"}
    with pytest.raises(InputError, match=r"two videos are called 1\.avi"):
        find_videos([tmp_path / "a" / "1.avi", tmp_path / "b" / "1.avi"])


def test_a_video_is_found_without_the_zeros_that_excel_has_dropped() -> None:
    videos = {name: Path(name) for name in ("0012.avi", "0013.avi", "13.mp4", "x.avi", "x.mp4")}
    assert resolve("12", videos) == "0012.avi"
    assert resolve("0013", videos) == "0013.avi"
    assert resolve("013", videos) is None  # 0013.avi or 13.mp4
    assert resolve("x", videos) is None
    assert resolve("0012.avi:0003-0345", videos) == "0012.avi"


def test_a_video_that_has_become_a_date_is_named_and_one_that_is_called_so_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("video,id,x,y\nDec-12,1,5,6\n02. Dez,2,5,6\ndec12,3,5,6\n")
    by_video, problems = assign(read_tags(path).tags, {name: Path(name) for name in ("Dec-12.avi", "dec12.mp4")})
    assert {name: [tag.id for tag in tags] for name, tags in by_video.items()} == {
        "Dec-12.avi": ["1"],
        "dec12.mp4": ["3"],
    }
    assert len(problems) == 1
    assert problems[0].startswith("line 3: '02. Dez' is a date: a spreadsheet made it")
