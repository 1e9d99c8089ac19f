"""The TensorRT session: on the strict fake everywhere, and on a real GPU where there is one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.artifact import Artifact
from engine.onnx_runtime import OnnxSession
from engine.runtime import WindowId
from engine.tensorrt.compile import build_plan
from engine.tensorrt.driver import load_cuda, load_tensorrt, open_device
from engine.tensorrt.fake_cuda import FakeCuda, Misuse
from engine.tensorrt.fake_tensorrt import FakeTensorRt
from engine.tensorrt.plans import PORTABLE, Plan, PlanInfo, jit_path, save_plan
from engine.tensorrt.session import TensorRtSession
from engine.verify import require_match
from station.errors import ArtifactError, InputError, ProcessError, StationError


@dataclass
class Machine:
    """What a session needs, and the CPU's grades of the same clips."""

    artifact: Artifact
    plan: Plan
    trt: Any
    cuda: Any
    tolerance: float

    def session(self) -> TensorRtSession:
        return TensorRtSession(self.artifact, self.plan, self.trt, self.cuda)

    def leaks(self) -> list[str]:
        return self.cuda.leaks() if isinstance(self.cuda, FakeCuda) else []


def fake_machine(artifact: Artifact, cpu: OnnxSession, **options: Any) -> Machine:
    cuda = FakeCuda(**options)

    def network(clips: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        grades = cpu.infer(clips)
        return grades.grade, grades.heads, grades.attention

    trt = FakeTensorRt(cuda, network)
    specs = (*artifact.manifest.inputs, *artifact.manifest.outputs)
    return Machine(artifact, store(artifact, trt.plan(specs)), trt, cuda, tolerance=0.0)


def store(artifact: Artifact, content: bytes, version: str = "1.0") -> Plan:
    info = PlanInfo(
        runtime="tensorrt_rtx", version=version, gpu=PORTABLE, precision="float32", model_sha256=artifact.model_sha256,
        inputs=artifact.manifest.inputs, outputs=artifact.manifest.outputs, build_s=0.0,
        plan_sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return save_plan(artifact, info, content)


@pytest.fixture
def cpu(artifact: Artifact) -> Iterator[OnnxSession]:
    with OnnxSession(artifact, threads=1) as session:
        yield session


@pytest.fixture(params=["fake", "real GPU"])
def machine(request: pytest.FixtureRequest, artifact: Artifact, cpu: OnnxSession) -> Machine:
    if request.param == "fake":
        return fake_machine(artifact, cpu)
    try:
        trt, cuda = load_tensorrt("tensorrt_rtx"), load_cuda()
        open_device(cuda)
    except StationError as error:
        pytest.skip(f"no GPU to run on: {error}")
    return Machine(artifact, build_plan(artifact, "tensorrt_rtx", "float32", lambda *_: None), trt, cuda, 1e-4)


def clips_of(artifact: Artifact, count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *artifact.manifest.inputs[0].shape[1:])
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 21])
def test_gives_the_answers_of_the_cpu_for_any_number_of_clips(machine: Machine, cpu: OnnxSession, count: int) -> None:
    clips = clips_of(machine.artifact, count)
    with machine.session() as session:
        found = [session.infer(clips), session.infer(clips)]
        milliseconds = session.gpu_ms
    expected = cpu.infer(clips)
    for grades in found:
        np.testing.assert_allclose(grades.grade, expected.grade, atol=machine.tolerance, rtol=0)
        np.testing.assert_allclose(grades.heads, expected.heads, atol=machine.tolerance, rtol=0)
        np.testing.assert_allclose(grades.attention, expected.attention, atol=10 * machine.tolerance, rtol=0)
    assert milliseconds > 0
    assert not machine.leaks()


def test_passes_verification(machine: Machine) -> None:
    with machine.session() as session:
        require_match(machine.artifact, session, clips=None)
        assert "float32" in session.name


def test_rolling_windows_upload_new_frames_alone(machine: Machine, cpu: OnnxSession) -> None:
    frames, height, width = machine.artifact.manifest.inputs[0].shape[1:]
    films = np.random.default_rng(3).integers(0, 256, (2, 12, height, width), np.uint8)
    # (sperm, first frame) of each batch: both move on, one skips, one jumps far, one comes twice in a batch.
    batches = [[(0, 0), (1, 0)], [(0, 1), (1, 1)], [(0, 3)], [(1, 8), (0, 4)], [(0, 5), (0, 6)], [(1, 8)]]
    new_frames = [2 * frames, 2, 2, frames + 1, 2, 0]
    with machine.session() as session:
        for batch, fresh in zip(batches, new_frames, strict=True):
            clips = np.stack([films[sperm, first : first + frames] for sperm, first in batch])
            ids = [WindowId(sperm, tuple(range(first, first + frames))) for sperm, first in batch]
            before = session.uploaded_bytes
            found = session.infer(clips, ids)
            assert session.uploaded_bytes - before == fresh * height * width, batch
            np.testing.assert_allclose(found.grade, cpu.infer(clips).grade, atol=machine.tolerance, rtol=0)
    assert not machine.leaks()


def test_more_sperm_than_are_kept_are_uploaded_anew(artifact: Artifact, cpu: OnnxSession) -> None:
    machine = fake_machine(artifact, cpu)
    clips = clips_of(artifact, 70)
    ids = [WindowId(sperm, tuple(range(artifact.manifest.network.frames))) for sperm in range(70)]
    with machine.session() as session:
        session.infer(clips, ids)
        before = session.uploaded_bytes
        np.testing.assert_array_equal(session.infer(clips[-64:], ids[-64:]).grade, cpu.infer(clips[-64:]).grade)
        assert session.uploaded_bytes == before
        np.testing.assert_array_equal(session.infer(clips[:1], ids[:1]).grade, cpu.infer(clips[:1]).grade)
        assert session.uploaded_bytes == before + clips[0].nbytes


def test_refuses_clips_of_another_shape(machine: Machine) -> None:
    with machine.session() as session, pytest.raises(ValueError, match="expected clips"):
        session.infer(np.zeros((1, 5, 24, 24), np.uint8))


def test_close_may_be_called_twice(machine: Machine) -> None:
    session = machine.session()
    session.close()
    session.close()
    assert not machine.leaks()


def test_two_sessions_one_after_the_other(machine: Machine) -> None:
    for _ in range(2):
        with machine.session() as session:
            session.infer(clips_of(machine.artifact, 1))
    assert not machine.leaks()


def test_keeps_the_just_in_time_cache_beside_the_plan(artifact: Artifact, cpu: OnnxSession) -> None:
    machine = fake_machine(artifact, cpu)
    with machine.session():
        pass
    path = jit_path(machine.plan, "Fake GPU")
    assert path.read_bytes() == b"kernels"
    with machine.session():
        pass
    assert machine.trt.saved_jit == [b"kernels"]


def test_no_driver(artifact: Artifact, cpu: OnnxSession) -> None:
    machine = fake_machine(artifact, cpu, gpu=False)
    with pytest.raises(InputError, match=r"no usable NVIDIA GPU .*no CUDA-capable device"):
        machine.session()


@pytest.mark.parametrize("memory_bytes", [0, 20_000, 100_000])
def test_out_of_memory_gives_back_what_it_had(artifact: Artifact, cpu: OnnxSession, memory_bytes: int) -> None:
    machine = fake_machine(artifact, cpu, memory_bytes=memory_bytes)
    with pytest.raises(InputError, match=r"not enough memory on Fake GPU .*use the runtime onnxruntime"):
        machine.session()
    assert not machine.leaks()


BAD_PLANS = {
    "another version": (lambda plan: replace(plan, info=plan.info.model_copy(update={"version": "0.9"})), "built by"),
    "another version inside": (lambda plan: rewrite(plan, b"1.0", b"0.8", honest=True), "version mismatch"),
    "damaged on disk": (lambda plan: rewrite(plan, b"clip", b"clap", honest=False), "is damaged"),
    "corrupt": (lambda plan: rewrite(plan, b"clip", b"clap", honest=True), "corrupt"),
    "gone": (lambda plan: replace(plan, path=plan.path.with_name("gone.plan")), "cannot be read"),
}


def rewrite(plan: Plan, old: bytes, new: bytes, *, honest: bool) -> Plan:
    """Change a plan's bytes; with ``honest``, update its description to match."""
    content = plan.path.read_bytes().replace(old, new)
    plan.path.write_bytes(content)
    update = {"plan_sha256": hashlib.sha256(content).hexdigest()} if honest else {}
    return replace(plan, info=plan.info.model_copy(update=update))


@pytest.mark.parametrize("case", BAD_PLANS)
def test_bad_plans_are_refused(artifact: Artifact, cpu: OnnxSession, case: str) -> None:
    machine = fake_machine(artifact, cpu)
    spoil, expected = BAD_PLANS[case]
    machine.plan = spoil(machine.plan)
    with pytest.raises(ArtifactError, match=f"(?s){expected}.*build it again with `python -m engine compile"):
        machine.session()
    assert not machine.leaks()


def test_a_plan_of_another_network_is_refused(artifact: Artifact, cpu: OnnxSession) -> None:
    machine = fake_machine(artifact, cpu)
    clip = artifact.manifest.inputs[0].model_copy(update={"shape": (-1, 16, 150, 150)})
    machine.plan = store(artifact, machine.trt.plan((clip, *artifact.manifest.outputs)))
    with pytest.raises(ArtifactError, match=r"expected .* it has"):
        machine.session()
    assert not machine.leaks()


@pytest.mark.parametrize("call", ["memcpy_htod_async", "execute_async_v3", "memcpy_dtoh_async", "event synchronize"])
def test_a_failing_gpu_is_reported_and_the_session_closes(artifact: Artifact, cpu: OnnxSession, call: str) -> None:
    machine = fake_machine(artifact, cpu)
    with machine.session() as session:
        machine.cuda.fail_next = call
        with pytest.raises(ProcessError, match=r"failed .*unspecified launch failure"):
            session.infer(clips_of(artifact, 3))
    assert not machine.leaks()


def test_a_refused_run_leaves_no_window_half_uploaded(artifact: Artifact, cpu: OnnxSession) -> None:
    """The upload of the refused batch is still queued when its pinned buffer is filled again."""
    machine = fake_machine(artifact, cpu)
    frames = artifact.manifest.network.frames
    films = np.random.default_rng(5).integers(0, 256, (2, frames, 24, 24), np.uint8)
    ids = [[WindowId(sperm, tuple(range(frames)))] for sperm in range(2)]
    with machine.session() as session:
        run = session._execution.execute_async_v3
        session._execution.execute_async_v3 = lambda _: False
        with pytest.raises(ProcessError, match="did not run"):
            session.infer(films[:1], ids[0])
        session._execution.execute_async_v3 = run
        session.infer(films[1:], ids[1])
        np.testing.assert_array_equal(session.infer(films[:1], ids[0]).grade, cpu.infer(films[:1]).grade)
    assert not machine.leaks()


@pytest.mark.parametrize(("count", "missing"), [(1, 0), (3, 0), (2, 1)], ids=["too few", "too many", "short"])
def test_ids_that_do_not_fit_the_clips_are_refused(machine: Machine, count: int, missing: int) -> None:
    """Otherwise a clip that no id names would get the grades of the slot's earlier content."""
    frames = machine.artifact.manifest.network.frames - missing
    ids = [WindowId(sperm, tuple(range(frames))) for sperm in range(count)]
    with machine.session() as session, pytest.raises(ValueError, match="expected ids of 2 clips"):
        session.infer(clips_of(machine.artifact, 2), ids)


def test_a_lost_gpu_is_told_once(artifact: Artifact, cpu: OnnxSession) -> None:
    machine = fake_machine(artifact, cpu)
    session = machine.session()
    machine.cuda.dead = True
    with pytest.raises(ProcessError, match="the GPU is lost"), session:
        session.infer(clips_of(artifact, 3))


class TestFakeCuda:
    """The fake must catch the errors it exists for."""

    @pytest.fixture
    def cuda(self) -> FakeCuda:
        cuda = FakeCuda()
        cuda.init()
        cuda.Device(0).retain_primary_context().push()
        return cuda

    def test_use_after_free(self, cuda: FakeCuda) -> None:
        memory, stream = cuda.mem_alloc(16), cuda.Stream()
        host = cuda.pagelocked_empty((16,), np.uint8)
        cuda.memcpy_htod_async(int(memory), host, stream)
        memory.free()
        with pytest.raises(Misuse, match="after it was freed"):
            stream.synchronize()
        with pytest.raises(Misuse, match="freed twice"):
            memory.free()

    def test_wrong_size(self, cuda: FakeCuda) -> None:
        memory, stream = cuda.mem_alloc(16), cuda.Stream()
        with pytest.raises(Misuse, match="run over the end"):
            cuda.memcpy_htod_async(int(memory), cuda.pagelocked_empty((17,), np.uint8), stream)
        with pytest.raises(Misuse, match="not device memory"):
            cuda.memcpy_dtod_async(int(memory), int(memory) + 16, 1, stream)

    def test_pageable_memory(self, cuda: FakeCuda) -> None:
        memory = cuda.mem_alloc(16)
        with pytest.raises(Misuse, match="pinned"):
            cuda.memcpy_htod_async(int(memory), np.zeros(16, np.uint8), cuda.Stream())

    def test_reading_before_synchronising_gives_garbage(self, cuda: FakeCuda) -> None:
        memory, stream = cuda.mem_alloc(16), cuda.Stream()
        host = cuda.pagelocked_empty((4,), np.float32)
        host[:] = 1
        cuda.memcpy_htod_async(int(memory), host, stream)
        target = cuda.pagelocked_empty((4,), np.float32)
        cuda.memcpy_dtoh_async(target, int(memory), stream)
        assert np.isnan(target).all()
        stream.synchronize()
        assert (target == 1).all()

    def test_refilling_a_pinned_buffer_too_early_spoils_the_upload(self, cuda: FakeCuda) -> None:
        memory, stream = cuda.mem_alloc(4), cuda.Stream()
        host = cuda.pagelocked_empty((4,), np.uint8)
        host[:] = 1
        cuda.memcpy_htod_async(int(memory), host, stream)
        host[:] = 2
        stream.synchronize()
        assert (cuda.at(int(memory), 4) == 2).all()

    def test_two_contexts(self, cuda: FakeCuda) -> None:
        with pytest.raises(Misuse, match="second context"):
            cuda.Device(0).retain_primary_context()

    def test_no_context(self) -> None:
        with pytest.raises(FakeCuda.LogicError, match="invalid device context"):
            FakeCuda().mem_alloc(1)

    def test_leaks(self, cuda: FakeCuda) -> None:
        cuda.mem_alloc(16)
        assert cuda.leaks() == ["16 bytes at 0x100000", "a current context", "a retained context"]

    def test_timing_needs_both_events_to_be_through(self, cuda: FakeCuda) -> None:
        first, last, stream = cuda.Event(), cuda.Event(), cuda.Stream()
        first.record(stream)
        last.record(stream)
        first.synchronize()
        with pytest.raises(FakeCuda.LogicError, match="not ready"):
            last.time_since(first)
