"""One clip in one file: an npz with an array ``clip``, or lossless grey video (FFV1 in Matroska).

Both hold the same bytes of pixels; npz is read some twenty times as fast (0.3 ms against 8 ms for 16 x 150 x 150),
video takes half the space and opens in every player. Many unlabelled clips may also come in one .npy file
(``read_clips``). This module knows single files, not folders, votes or hashes of others.
"""

import hashlib
import io
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from engine.network_shape import NetworkShape
from station.errors import InputError
from station.files import require_regular
from station.numpy_files import read_npy_header, read_npz

NPZ: Final = ".npz"
VIDEO: Final = ".mkv"
ENDINGS: Final = (NPZ, VIDEO)
CODEC: Final = "ffv1"
GREY: Final = "gray"
"""FFmpeg's name for 8-bit grey."""
MAX_CLIP_BYTES: Final = 256 << 20
"""Of one clip, unpacked: 256 frames of 1024 x 1024 px."""


def read_clip(path: Path) -> NDArray[np.uint8]:
    """Read one clip, (T, H, W) uint8. Raises InputError where the file is none; the ending tells which kind it is."""
    clip = _read_video(path) if path.suffix.lower() == VIDEO else _read_npz(path)
    if clip.dtype != np.uint8 or clip.ndim != 3 or not clip.size:
        raise InputError(f"{path}: 'clip' must be (T, H, W) uint8, is {clip.shape} {clip.dtype}; make the clip again")
    return clip


def read_clips(path: Path, network: NetworkShape) -> NDArray[np.uint8]:
    """Map a .npy file of clips (N, T, H, W[, 3]), T a multiple of its frames. Raises InputError for others."""
    try:
        read_npy_header(path)
        clips: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"--clips {path}: expected a .npy file, got {error}") from error
    shape = (network.frames, network.clip_px, network.clip_px)
    fits = clips.ndim in (4, 5) and clips.shape[2:] in (shape[1:], (*shape[1:], 3)) and clips.shape[1] >= shape[0]
    if clips.dtype != np.uint8 or not fits or clips.shape[1] % network.frames:
        raise InputError(
            f"--clips {path}: expected uint8 (N, {', '.join(map(str, shape))}) or (..., 3), "
            f"is {clips.dtype} {clips.shape}"
        )
    if not len(clips):
        raise InputError(f"--clips {path}: holds no clip; give at least one")
    return clips


def write_clip(path: Path, clip: NDArray[np.uint8], fps: float = 15.0) -> str:
    """Write one clip (T, H, W) uint8 as its path's ending says, and return the file's SHA-256.

    No time and nothing random is stamped into the file, so equal clips are equal files. npz is not compressed: camera
    noise leaves little to gain, and training reads each clip many times. ``fps`` is the speed at which players show a
    video; nothing here reads it back. Raises InputError for another ending.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: clips are written as {' or '.join(ENDINGS)}; give one of these endings")
    content = _video(clip, fps) if path.suffix == VIDEO else _npz(clip)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _read_npz(path: Path) -> NDArray[np.uint8]:
    try:
        return read_npz(path, {"clip": MAX_CLIP_BYTES})["clip"]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected an npz file with an array 'clip', got {_short(error)}; make the clip again"
        ) from error


def _npz(clip: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, clip=clip)
    return buffer.getvalue()


def _read_video(path: Path) -> NDArray[np.uint8]:
    """Decode every frame. FFmpeg conceals damage without saying so; only the manifest's hash reveals it."""
    wanted = f"expected lossless grey video ({CODEC} in Matroska)"
    frames: list[NDArray[np.uint8]] = []
    av.logging.set_level(None)  # what is wrong with a file is said once, by an InputError
    try:
        require_regular(path)  # FFmpeg would wait for a pipe
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            codec = stream.codec_context
            if codec.name != CODEC or codec.format is None or codec.format.name != GREY:
                kind = f"{codec.name}, {codec.format.name if codec.format else 'unknown pixels'}"
                raise InputError(f"{path}: {wanted}, got {kind}; convert it (docs/clip-format.md says how)")
            codec.thread_count = 1
            codec.options = {"max_pixels": str(MAX_CLIP_BYTES)}
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise InputError(f"{path}: frame {len(frames) + 1} is damaged; make the clip again")
                if (len(frames) + 1) * frame.width * frame.height > MAX_CLIP_BYTES:
                    raise InputError(f"{path}: is larger than {MAX_CLIP_BYTES >> 20} MiB; cut it into clips")
                frames.append(np.asarray(frame.to_ndarray(), np.uint8))
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise InputError(f"{path}: {wanted}, got {_short(error)}; make the clip again") from error
    if len({frame.shape for frame in frames}) != 1:
        raise InputError(f"{path}: {wanted}, got {len(frames)} frames that are not of one size; make the clip again")
    return np.stack(frames)


def _video(clip: NDArray[np.uint8], fps: float) -> bytes:
    buffer = io.BytesIO()
    # "bitexact" keeps the muxer from stamping its version and a random identifier into the file.
    with av.open(buffer, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(CODEC, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = clip.shape[1:]
        stream.pix_fmt = GREY
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"level": "3", "g": "1", "flags": "+bitexact"}  # every frame stands on its own
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=GREY)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
