"""The rows of ``python -m bench gpu``: each measures one thing and returns it. They do not catch what fails."""

import functools
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.support.flops import multiply_adds
from bench.support.report import sample_ms
from engine.artifact import Artifact
from engine.names import KINDS
from engine.onnx_runtime import OnnxSession
from engine.runtime import Runtime, WindowId
from engine.tensorrt.compile import build_plan
from engine.tensorrt.driver import load_cuda, load_tensorrt
from engine.tensorrt.fake_cuda import FakeCuda
from engine.tensorrt.fake_tensorrt import FakeTensorRt
from engine.tensorrt.plans import PORTABLE, Plan, PlanInfo, save_plan
from engine.tensorrt.session import TensorRtSession
from engine.torch_session import TorchSession, load_torch
from engine.verify import compare
from station.build_info import ROOT
from tracker.field.preprocessor import Preprocessor
from tracker.matching.matcher import Matcher, OpenCvMatcher, peaks

SPERM = (1, 4, 8)
MATCHED = (1, 4, 16, 64)
FAKES, ON_CPU = "stand-in: strict fakes", "stand-in: torch on the CPU"
TESTS = ("tests/engine/tensorrt", "tests/engine/test_torch_session.py", "tests/tracker/matching/test_matcher.py")


@dataclass(slots=True)
class Row:
    """What one measurement gave."""

    name: str = ""
    outcome: Literal["ok", "failed"] = "ok"
    words: str = ""
    """What a person reads; of a failure, the library's own words."""
    stand_in: str = ""
    """What ran in place of a GPU; empty on one."""
    seconds: float = 0.0
    timings: dict[str, list[float]] = field(default_factory=dict)
    """Samples in ms, by name."""
    products: float = 0.0
    """Operations of a clip's matrix products; 0 where no network runs."""
    computes: str = "float16"
    """In which type."""
    figures: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Values with their units, by name."""

    @property
    def line(self) -> str:
        """The row in a line."""
        told = "; ".join(part for part in (self.words, self.stand_in) if part)
        return f"{self.name}: {self.outcome} in {self.seconds:.1f} s{f' ({told})' if told else ''}"


@dataclass(frozen=True, slots=True)
class Gpu:
    """Whether there is one, and how often calls are timed."""

    present: bool
    count: int

    @property
    def device(self) -> str:
        """Torch's name of where to run."""
        return "cuda" if self.present else "cpu"

    @property
    def torch_stand_in(self) -> str:
        """What stands in for torch on CUDA."""
        return "" if self.present else ON_CPU


def cards() -> Row:
    """Say what the driver says of the GPUs, and which packages are there."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,driver_version,memory.total", "--format=csv,noheader"]
    told = []
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
        told.append(" ".join(done.stdout.split()) or done.stderr.strip())
    except OSError as error:
        told.append(f"no nvidia-smi ({error.strerror})")
    try:
        torch = load_torch()
        told.append(f"torch {torch.__version__}, CUDA {torch.version.cuda}, available: {torch.cuda.is_available()}")
    except ImportError as error:
        told.append(str(error))
    for name in KINDS:
        try:
            told.append(f"{name} {load_tensorrt(name).__version__}")
        except Exception as error:
            told.append(f"{name}: {' '.join(str(error).split())[:200]}")
    return Row(words="; ".join(told))


def plan_runs(artifact: Artifact, gpu: Gpu, scratch: Path) -> Row:
    """Build a TensorRT-RTX plan, hold it to the golden clips, and time it with and without a CUDA graph."""
    row = Row(stand_in="" if gpu.present else FAKES, products=_products(artifact))
    folder = scratch / f"plan-{artifact.model_sha256[:8]}"
    shutil.copytree(artifact.folder, folder)
    artifact = Artifact.open(folder)
    plan = build_plan(artifact, "tensorrt_rtx", "float16", lambda *_: None)
    row.figures["build"] = (plan.info.build_s, "s")
    row.figures["plan"] = (plan.path.stat().st_size / 1e6, "MB")
    if gpu.present:
        _time_plan(row, artifact, plan, load_tensorrt("tensorrt_rtx"), load_cuda(), gpu.count)
    else:  # the plan that was built needs a GPU: the fakes run one of their own, with the network on the CPU
        with OnnxSession(artifact) as cpu:
            cuda = FakeCuda()
            trt = FakeTensorRt(cuda, functools.partial(_answers, cpu))
            _time_plan(row, artifact, _fake_plan(artifact, trt), trt, cuda, min(gpu.count, 3))
            if leaks := cuda.leaks():
                raise RuntimeError(f"not released: {leaks}")
    return row


def _answers(cpu: Runtime, clips: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    found = cpu.infer(clips)
    assert found.heads is not None  # the stand-in has three outputs
    assert found.attention is not None
    return found.grade, found.heads, found.attention


def _fake_plan(artifact: Artifact, trt: FakeTensorRt) -> Plan:
    content = trt.plan((*artifact.manifest.inputs, *artifact.manifest.outputs))
    info = PlanInfo(
        runtime="tensorrt_rtx", version=trt.__version__, gpu=PORTABLE, precision="float16",
        model_sha256=artifact.model_sha256, inputs=artifact.manifest.inputs, outputs=artifact.manifest.outputs,
        build_s=0.0, plan_sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return save_plan(artifact, info, content)


def _time_plan(row: Row, artifact: Artifact, plan: Plan, trt: Any, cuda: Any, count: int) -> None:
    for graph in (True, False):
        started_s = time.monotonic()
        with TensorRtSession(artifact, plan, trt, cuda, cuda_graph=graph) as session:
            words = "CUDA graph" if graph else "no CUDA graph"
            row.figures[f"load and first run, {words}"] = (time.monotonic() - started_s, "s")
            _hold(row, artifact, session, words)
            _time(row, artifact, session, words, count)
            if graph:
                _time_uploads(row, artifact, session, count)


def _time_uploads(row: Row, artifact: Artifact, session: TensorRtSession, count: int) -> None:
    """Compare a window of which one frame is new with one that is sent whole."""
    shape = artifact.manifest.inputs[0].shape[1:]
    film = np.random.default_rng(0).integers(0, 256, (shape[0] + count + 1, *shape[1:]), np.uint8)
    for name, known in (("one new frame", True), ("whole window", False)):
        samples: list[float] = []
        before = session.uploaded_bytes
        for start in range(count + 1):
            clip = film[start : start + shape[0]][None]
            ids = [WindowId(1, tuple(range(start, start + shape[0])))] if known else None
            samples += sample_ms(functools.partial(session.infer, clip, ids), count=1, warm_up=0)
        row.timings[f"1 sperm, {name}"] = samples[1:]
        row.figures[f"sent with {name}"] = ((session.uploaded_bytes - before) / (count + 1) / 1e3, "kB a clip")


def torch_runs(artifact: Artifact, gpu: Gpu) -> Row:
    """Hold torch to the golden clips, and time it with and without a CUDA graph."""
    row = Row(
        stand_in=gpu.torch_stand_in, products=_products(artifact), computes="float16" if gpu.present else "float32"
    )
    for precision in ("float16",) if gpu.present else ("float32",):
        for graph in (True, False) if gpu.present else (False,):
            words = f"{precision}, {'CUDA graph' if graph else 'no CUDA graph'}"
            with TorchSession(artifact, 0, precision, gpu.device, cuda_graph=graph) as session:
                _hold(row, artifact, session, words)
                _time(row, artifact, session, words, gpu.count if gpu.present else 3)
    return row


def _products(artifact: Artifact) -> float:
    """Return the operations of a clip's matrix products, multiply-adds times 2."""
    return 2.0 * sum(multiply_adds(artifact.rostfine).values())


def _hold(row: Row, artifact: Artifact, session: Runtime, words: str) -> None:
    """Note how far the golden clips are off; a runtime that is wrong fails, however fast."""
    differences = compare(artifact, session)
    row.figures[f"grade off, {words}"] = (differences[0].largest, "")
    wrong = next((one for one in differences if not one.passed), None)
    if wrong is not None:
        raise RuntimeError(
            f"on {session.name} the golden clips' {wrong.output} is off by {wrong.largest:.2g}, allowed "
            f"{wrong.tolerance:.2g}: its times mean nothing"
        )


def _time(row: Row, artifact: Artifact, session: Runtime, words: str, count: int) -> None:
    for sperm in SPERM:
        shape = (sperm, *artifact.manifest.inputs[0].shape[1:])
        clips = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        row.timings[f"{sperm} sperm, {words}"] = sample_ms(
            functools.partial(session.infer, clips), count=count, warm_up=2
        )


def ceilings(gpu: Gpu) -> Row:
    """Measure large products and copies: what the times of networks are to be compared with."""
    torch = load_torch()
    row = Row(stand_in=gpu.torch_stand_in)
    edge = 8192 if gpu.present else 512
    wait = torch.cuda.synchronize if gpu.present else lambda: None
    for dtype in ("float16", "bfloat16", "float32"):
        a = torch.randn(edge, edge, device=gpu.device).to(getattr(torch, dtype))

        def multiply(a: Any = a) -> None:
            a @ a
            wait()

        best_ms = min(sample_ms(multiply, count=5, warm_up=2))
        row.figures[f"matmul {edge} {dtype}"] = (2 * edge**3 / best_ms / 1e9, "1e12/s")
    host = torch.empty(256 << 20 if gpu.present else 16 << 20, dtype=torch.uint8, pin_memory=gpu.present)
    target = torch.empty_like(host, device=gpu.device)
    for name, (source, to) in {"to the device": (host, target), "from the device": (target, host)}.items():

        def copy(source: Any = source, to: Any = to) -> None:
            to.copy_(source, non_blocking=True)
            wait()

        row.figures[f"copy {name}"] = (len(host) / min(sample_ms(copy, count=5, warm_up=1)) / 1e6, "GB/s")
    return row


def matchers(gpu: Gpu) -> Row:
    """Compare torch's matcher with OpenCV's: the same peaks, and the time for some sperm."""
    from tracker.matching.torch_matcher import TorchMatcher

    row = Row(stand_in=gpu.torch_stand_in)
    rng = np.random.default_rng(0)
    height, width = (976, 1392) if gpu.present else (240, 320)
    frames = [rng.normal(90, 30, (height, width)).clip(0, 255).astype(np.uint8) for _ in range(3)]
    both: dict[str, Matcher] = {"OpenCV": OpenCvMatcher(), "torch": TorchMatcher(gpu.device)}
    prepared = {}
    for name, matcher in both.items():
        field = Preprocessor(height, width, matcher, 21.0)
        for number, pixels in enumerate(frames):
            prepared[name] = field.prepare(pixels, frame_seq=number, t_source_ns=number * 20_000_000)
    largest = 0.0
    for count in MATCHED:
        points = np.c_[rng.uniform(0, width - 1, count), rng.uniform(0, height - 1, count)]
        templates = both["OpenCV"].crops(prepared["OpenCV"], points, 23)
        centres = np.rint(points).astype(np.int64)
        found = {}
        for name, matcher in both.items():
            call = functools.partial(matcher.maps, prepared[name], centres, templates, 12)
            found[name] = call()
            row.timings[f"{count} sperm, {name}"] = sample_ms(call, count=min(gpu.count, 100), warm_up=2)
        largest = max(largest, _apart(found["OpenCV"], found["torch"]))
    row.figures["peaks apart at most"] = (largest, "px")
    if not largest < 1e-3:
        raise RuntimeError(f"the peaks of the two matchers are {largest:.2g} px apart, allowed 1e-3")
    return row


def _apart(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return the largest distance of the best peaks."""
    found = 0.0
    for ncc, other, energy in zip(ours[0], theirs[0], ours[1], strict=True):
        a, b = peaks(ncc, ncc, energy, 1)[0], peaks(other, other, energy, 1)[0]
        found = max(found, abs(a.dx - b.dx), abs(a.dy - b.dy))
    return found


def training_step(gpu: Gpu) -> Row:
    """Time one step of ``base`` in bfloat16, 8 clips; the stand-in is one of ``station``, 1 clip."""
    from trainer.model.rostfine import Rostfine, preset

    torch = load_torch()
    name, batch = ("base", 8) if gpu.present else ("station", 1)
    row = Row(stand_in="" if gpu.present else f"{ON_CPU}, preset station")
    torch.manual_seed(0)
    config = preset(name)  # type: ignore[arg-type]
    network = Rostfine(config).to(gpu.device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    clips = torch.randint(0, 256, (batch, config.frames, config.clip_px, config.clip_px), dtype=torch.uint8)
    clips, votes = clips.to(gpu.device), torch.full((batch, 5), 0.2, device=gpu.device)
    losses = []

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(gpu.device, torch.bfloat16):
            loss = ((network(clips).grade.float() - votes) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    row.timings[f"{name}, bfloat16, {batch} clips"] = sample_ms(step, count=10 if gpu.present else 1, warm_up=2)
    if not np.isfinite(losses).all():
        raise RuntimeError(f"the loss is {losses[-1]}")
    if gpu.present:
        row.figures["memory"] = (torch.cuda.max_memory_allocated() / 1e9, "GB")
    return row


def gpu_tests() -> Row:
    """Run the tests that use a GPU where there is one; without one they skip and the rest of them run."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return Row(words="; ".join([lines[-1], *failed])[:800], outcome="failed" if done.returncode else "ok")
