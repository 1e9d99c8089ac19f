"""Damaged files of every kind: no crash, no hang; readable frames as they are, and one clear line.

They are read in a process of their own, which a decoder may take down; ``python -m bench fuzz`` reads more of them.
"""

import os
from pathlib import Path

import pytest

from bench import fuzz
from bench.support.fuzz_files import DAMAGES, FRAME_COUNT, KINDS

FILES = int(os.environ.get("TEST_FUZZ_FILES", len(KINDS) * len(DAMAGES) * 4))
"""Each kind with each damage, four times."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return fuzz.write_originals(tmp_path_factory.mktemp("fuzz") / "sound")


def test_the_sound_files_are_read_whole_without_a_word(originals):
    with fuzz.Reader() as reader:
        for name, path in originals.items():
            answer = reader.read(path)
            assert answer is not None
            found = name, len(answer["crcs"]), answer["said"], answer["defect"]
            assert found == (name, FRAME_COUNT, "", "")


def test_damaged_files_do_no_harm(originals, tmp_path: Path, capfd):
    with fuzz.Reader() as reader:
        for seed in range(FILES):
            kind, how = fuzz.case(seed)
            outcome, said = fuzz.try_file(reader, originals[kind], tmp_path, kind, how, seed)
            assert outcome not in fuzz.BAD, f"seed {seed}: {kind}, {how}: {outcome}: {said}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        pytest.param("import os; os.abort()", "crash", id="a decoder that crashes"),
        pytest.param("import time; time.sleep(60)", "hang", id="a decoder that hangs"),
    ],
)
def test_harm_is_seen_and_the_next_file_is_read(originals, monkeypatch, tmp_path: Path, code: str, ending: str):
    """A TIFF stack that does harm when opened, in an otherwise real reading process."""
    monkeypatch.setattr(fuzz, "LIMIT_S", 3.0)
    (tmp_path / "harm.py").write_text(
        f"import bench.support.fuzz_worker as w\nsound = w.open_source\n"
        f"def harm(config):\n    if 'harm' in config.source.kind:\n        {code}\n    return sound(config)\n"
        f"w.open_source = harm\nw.main()\n"
    )
    monkeypatch.setattr(fuzz, "WORKER", (str(tmp_path / "harm.py"),))
    monkeypatch.setenv("PYTHONPATH", str(fuzz.ROOT))
    with fuzz.Reader() as reader:
        assert reader.read(tmp_path / "harm.tif") is None
        assert reader.died == ending
        after = reader.read(originals["plain.tif"])
        assert after is not None
        assert len(after["crcs"]) == FRAME_COUNT
