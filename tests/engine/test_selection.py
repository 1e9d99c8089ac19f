"""Which precision runs: the fastest that holds, measured once, said, and float32 wherever there is doubt."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import __main__ as command
from engine.artifact import INT8_MODEL, Artifact
from engine.factory import choose, open_choice, open_chosen, open_runtime
from engine.onnx_runtime import OnnxSession
from engine.runtime import Grades
from engine.selection import Selection, Way, select
from station.errors import ArtifactError, InputError

PLAIN, INTEGERS = Way("onnxruntime", "float32"), Way("onnxruntime", "int8")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def int8_artifact(tiny_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    pytest.importorskip("onnx", reason="quantizing needs the extra [train]")
    from station.console import Console
    from trainer.model.export_inputs import CalibrationClips
    from trainer.model.golden import pattern_clips
    from trainer.model.lower_precision import lower_precision

    folder = tmp_path_factory.mktemp("int8") / "model"
    shutil.copytree(tiny_artifact.folder, folder)
    clips = pattern_clips(24, tiny_artifact.manifest.inputs[0].shape[1:])  # type: ignore[arg-type]
    lower_precision(
        Artifact.open(folder), "int8", CalibrationClips(clips, "patterns"), Console(quiet=True), least_proving=12
    )
    return Artifact.open(folder)


@pytest.fixture
def int8(int8_artifact: Artifact, tmp_path: Path) -> Artifact:
    shutil.copytree(int8_artifact.folder, tmp_path / "int8")
    return Artifact.open(tmp_path / "int8")


class Timed:
    """A session that takes as long, and is as wrong, as it is told; the clock is its own."""

    def __init__(self, inner: OnnxSession, clock: list[float], ms: float, off: float) -> None:
        self.inner, self.clock, self.ms, self.off = inner, clock, ms, off
        self.name, self.precision, self.plan_sha256 = inner.name, inner.precision, ""

    def infer(self, clips: Any, ids: Any = None) -> Grades:
        self.clock[0] += self.ms / 1e3
        true = self.inner.infer(clips, ids)
        return Grades(true.grade, true.heads, true.attention + np.float32(self.off))

    def close(self) -> None:
        self.inner.close()

    def __enter__(self) -> "Timed":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def measured(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, int8_ms: float, off: float = 0.0
) -> Iterator[dict[Way, int]]:
    """Let float32 take 10 ms and int8 as long as given; count how often each is opened."""
    clock, opened = [0.0], dict.fromkeys((PLAIN, INTEGERS), 0)
    monkeypatch.setattr("engine.selection.time.perf_counter", lambda: clock[0])

    def opener(_: Artifact, runtime: Any, precision: Any, threads: int) -> Any:
        way = Way(runtime, precision)
        opened[way] += 1
        inner = OnnxSession(artifact, threads, precision=precision)
        return Timed(inner, clock, *((10.0, 0.0) if way == PLAIN else (int8_ms, off)))

    monkeypatch.setattr("engine.factory._open", opener)
    yield opened


@pytest.mark.parametrize(("ms", "precision"), [(4.0, "int8"), (9.5, "float32"), (20.0, "float32")])
def test_another_precision_must_be_clearly_faster(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, ms: float, precision: str
) -> None:
    with measured(int8, monkeypatch, ms):
        choice = choose(int8, threads=1)
    assert (choice.runtime, choice.precision) == ("onnxruntime", precision)
    assert choice.selection is not None
    assert [one.ms for one in choice.selection.ways] == [10.0, ms]
    if precision == "int8":
        assert choice.why.startswith("4.0 ms a clip against 10.0 in float32, measured here")
    assert not choice.notice


def test_integers_that_do_not_hold_here_fall_back_to_float32_and_that_is_said(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with measured(int8, monkeypatch, 1.0, off=0.5):
        choice = choose(int8, threads=1)
        assert command.main(["verify", str(int8.folder), "--threads", "1"]) == 0
        assert command.main(["verify", str(int8.folder), "--threads", "1", "--precision", "int8"]) == 1
    assert choice.precision == "float32"
    words = "graded in float32, not with onnxruntime int8: on this processor its golden clips' attention is off by 0.5"
    assert choice.notice.startswith(words)
    said = capsys.readouterr().out
    assert words in said
    assert "run it in float32" in said


def test_it_is_measured_once_and_again_on_request(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with measured(int8, monkeypatch, 4.0) as opened:
        first = choose(int8, threads=1)
        assert choose(int8, threads=1) == first
        assert opened == {PLAIN: 1, INTEGERS: 1}
        choose(int8, threads=2)
        assert opened == {PLAIN: 2, INTEGERS: 2}, "other threads are another measurement"
        assert command.main(["info", str(int8.folder), "--threads", "1", "--measure"]) == 0
        assert opened == {PLAIN: 3, INTEGERS: 3}
        said = capsys.readouterr().out
        assert "onnxruntime int8: 4.0 ms a clip, golden grades off by" in said
        assert "used:        onnxruntime, int8: 4.0 ms a clip against 10.0" in said
        assert "proven for int8" in said
        (kept, _) = (cache / "rostfine-station").iterdir()
        kept.write_text("{")
        assert choose(int8, threads=1, anew=False).precision == "int8"
    assert len(list((cache / "rostfine-station").iterdir())) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    cache.write_text("a file where the folder should be")
    with measured(int8, monkeypatch, 4.0):
        assert choose(int8, threads=1).precision == "int8"


def test_a_broken_model_is_refused_and_not_run_in_integers(int8: Artifact, cache: Path) -> None:
    golden = int8.golden()
    arrays = {name: getattr(golden, name) for name in ("clips", "heads", "attention")}
    np.savez(int8.folder / "golden.npz", grade=golden.grade + np.float32(0.01), **arrays)
    choice = choose(int8, threads=1)
    assert choice.precision == "float32"
    with pytest.raises(ArtifactError, match="the golden clips' grade is off by"):
        open_choice(int8, choice, 1)
    assert not cache.exists()


def test_a_model_without_another_precision_is_not_measured(artifact: Artifact, cache: Path) -> None:
    found = select(artifact, [PLAIN], 1, lambda way: pytest.fail(f"opened {way}"))
    assert found.taken.precision == "float32"
    assert not cache.exists()


def test_what_was_asked_for_is_run_or_refused(int8: Artifact, artifact: Artifact) -> None:
    with open_runtime(int8, threads=1, precision="int8") as session:
        assert session.name == "onnxruntime (CPU, 1 thread, int8)"
        assert session.plan_sha256 == int8.int8_sha256
    with open_runtime(int8, threads=1, precision="float32") as session:
        assert session.name == "onnxruntime (CPU, 1 thread)"
        assert session.plan_sha256 == ""
    with pytest.raises(InputError, match=r"has no integers; make them with .*--from-model"):
        open_runtime(artifact, precision="int8")
    with pytest.raises(InputError, match="a CPU computes float16 weights in float32"):
        open_runtime(artifact, precision="float16")
    with pytest.raises(InputError, match="computes in float32 or int8 on a CPU, not in bfloat16"):
        open_runtime(artifact, "onnxruntime", precision="bfloat16")


@pytest.mark.parametrize(
    ("name", "precision"),
    [("onnxruntime (CPU, 1 thread)", "float32"), ("onnxruntime (CPU, 2 threads, int8)", "int8")],
)
def test_a_replay_runs_what_was_recorded(int8: Artifact, name: str, precision: str) -> None:
    choice = choose(int8, like=name)
    assert (choice.runtime, choice.precision, choice.why) == ("onnxruntime", precision, "as recorded")


def test_a_replay_of_what_is_not_here_is_chosen_as_ever(artifact: Artifact) -> None:
    for name in ("tensorrt_rtx (GPU, float16)", "onnxruntime (CPU, 1 thread, int8)", ""):
        assert choose(artifact, like=name).why != "as recorded"


def test_the_same_grades_at_every_run(int8: Artifact) -> None:
    clips = int8.golden().clips
    found = set()
    for _ in range(2):
        with open_runtime(int8, threads=2, precision="int8") as session:
            found |= {session.infer(clips).grade.tobytes(), session.infer(clips).grade.tobytes()}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.unlink(), f"{INT8_MODEL} is missing"),
        (lambda path: path.write_bytes(b"other"), f"{INT8_MODEL} has sha256"),
    ],
)
def test_the_integers_are_hashed_as_all_else(int8: Artifact, spoil: Any, expected: str) -> None:
    with open_runtime(int8, threads=1):
        pass  # measured with the sound file, and kept
    spoil(int8.folder / INT8_MODEL)
    damaged = Artifact.open(int8.folder)
    assert expected in damaged.int8_fault
    with pytest.raises(ArtifactError, match=expected):
        open_runtime(damaged, threads=1, precision="int8")
    with open_runtime(damaged, threads=1, precision="float32") as session:
        assert session.precision == "float32"
    choice, session = open_chosen(damaged, threads=1)
    session.close()
    assert choice.precision == "float32"
    assert choice.notice.startswith("graded in float32, not with onnxruntime int8: ")
    assert expected in choice.notice


def kept_files(cache: Path) -> list[Path]:
    return list((cache / "rostfine-station").glob("*"))


@pytest.mark.parametrize("like", ["", "onnxruntime (CPU, 1 thread, int8)"])
def test_a_kept_choice_that_does_not_start_now_is_measured_again_and_given_up(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, cache: Path, like: str
) -> None:
    with measured(int8, monkeypatch, 4.0):
        assert choose(int8, threads=1).precision == "int8"
    with measured(int8, monkeypatch, 4.0, off=0.5) as opened:
        choice, session = open_chosen(int8, threads=1, like=like)
        session.close()
        assert (choice.precision, session.precision) == ("float32", "float32")
        assert choice.notice.startswith("graded in float32, not with onnxruntime int8: on this processor")
        assert choice.notice.count("not with") == 1
        assert opened == {PLAIN: 2, INTEGERS: 2}
        with pytest.raises(ArtifactError, match="attention is off by"):
            open_chosen(int8, precision="int8", threads=1)
    (kept,) = kept_files(cache)
    assert Selection.model_validate_json(kept.read_bytes()).taken.precision == "float32"


@pytest.mark.parametrize("at", ["opening", "golden clips", "timing"])
def test_whatever_a_runtime_raises_it_is_float32_and_tried_again_at_the_next_start(
    int8: Artifact, monkeypatch: pytest.MonkeyPatch, cache: Path, at: str
) -> None:
    with measured(int8, monkeypatch, 4.0):
        choose(int8, threads=1)
        assert len(kept_files(cache)) == 1
    with measured(int8, monkeypatch, 4.0):
        sound, calls = OnnxSession.infer, [0]

        def failing(self: OnnxSession, *arguments: Any) -> Grades:
            calls[0] += self.precision == "int8"
            if self.precision == "int8" and calls[0] > (at == "timing"):
                raise RuntimeError("no such kernel\nat 0x0")
            return sound(self, *arguments)

        if at == "opening":
            opener = __import__("engine.factory").factory._open

            def refusing(artifact: Artifact, runtime: Any, precision: Any, threads: int) -> Any:
                if precision == "int8":
                    raise RuntimeError("no such kernel\nat 0x0")
                return opener(artifact, runtime, precision, threads)

            monkeypatch.setattr("engine.factory._open", refusing)
        else:
            monkeypatch.setattr(OnnxSession, "infer", failing)
        choice = choose(int8, threads=1, anew=True)
        assert choice.notice == "graded in float32, not with onnxruntime int8: RuntimeError: no such kernel"
        assert not kept_files(cache), "what failed once may be cured"


def test_the_kept_measurement_names_the_loaded_runtime(artifact: Artifact) -> None:
    import onnxruntime

    assert select(artifact, [PLAIN], 1, pytest.fail).versions["onnxruntime"] == onnxruntime.__version__


def test_torch_that_fails_is_given_up_for_the_cpu_unless_it_is_named(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("CUDA error: no kernel image")

    monkeypatch.setattr("engine.factory.why_not_torch", lambda: "")
    monkeypatch.setattr("engine.torch_session.TorchSession", broken)
    choice, session = open_chosen(artifact, threads=1)
    with session:
        assert session.name == "onnxruntime (CPU, 1 thread)"
    words = "graded in float32, not with torch float16: RuntimeError: CUDA error: no kernel image"
    assert choice.notice == words
    assert dict(choice.refused)["torch"] == "RuntimeError: CUDA error: no kernel image"
    with pytest.raises(RuntimeError, match="no kernel image"):
        open_chosen(artifact, "torch", threads=1)
    monkeypatch.undo()
    monkeypatch.setattr("engine.factory.has_nvidia_driver", lambda: True)
    monkeypatch.setattr("engine.torch_session.load_torch", broken)
    assert choose(artifact, threads=1).runtime == "onnxruntime"


def test_a_bfloat16_model_names_the_package_that_is_missing(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    bfloat16 = replace(artifact, manifest=artifact.manifest.model_copy(update={"precision": "bfloat16"}))
    monkeypatch.setattr("engine.factory.has_openvino", lambda: False)
    assert 'openvino, which is missing: pip install ".[openvino]"' in choose(bfloat16, threads=1).why
    assert choose(artifact, threads=1).why == "the model has no other precision"


def test_openvino_in_bfloat16(tiny_artifact: Artifact) -> None:
    pytest.importorskip("openvino", reason="needs the extra [openvino]")
    try:
        session = open_runtime(tiny_artifact, "openvino", 1, "bfloat16")
    except InputError as error:
        pytest.skip(str(error))
    with session, OnnxSession(tiny_artifact, 1) as plain:
        clips = tiny_artifact.golden().clips
        assert 0 < np.abs(session.infer(clips).grade - plain.infer(clips).grade).max() < 2e-2
        assert session.name == "openvino (CPU, 1 thread, bfloat16)"
