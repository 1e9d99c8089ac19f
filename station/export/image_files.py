"""Films as OME-TIFF, OME-Zarr and MP4. It knows the formats, and not what the pictures show."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from station.errors import MissingExtraError, SessionError
from station.export.pictures import Pictures
from station.notice import NOTICE

Beat = Callable[[], object]
LEAST_WIDTH_PX: Final = 480
"""A film for people is enlarged to this, so that the line below it can be read."""
STRIP_PX: Final = 24
MP4_QUALITY: Final = "18"
MP4_CLOCK: Final = 90_000


def write_ome_tiff(film: Pictures, folder: Path, beat: Beat) -> Path:
    """Write one OME-TIFF: uncompressed, with the scale in um and the time of every plane in s."""
    path = folder / f"{film.name}.ome.tif"
    count = len(film.frames)
    metadata: dict[str, Any] = {
        "axes": "TYX",
        "Name": film.name,
        "Description": NOTICE,
        "TimeIncrement": film.step_s,
        "TimeIncrementUnit": "s",
        "Plane": {"DeltaT": list(film.t_s), "DeltaTUnit": ["s"] * count},
    }
    if film.um_per_px is not None:
        metadata |= {"PhysicalSizeX": film.um_per_px, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": film.um_per_px, "PhysicalSizeYUnit": "µm"}

    def pages() -> Any:
        for pixels in film.read():
            beat()
            yield pixels

    shape = (count, film.height, film.width)
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        tiff.write(pages(), shape=shape, dtype=np.uint8, photometric="minisblack", metadata=metadata, contiguous=False)
    return path


def write_ome_zarr(film: Pictures, folder: Path, beat: Beat) -> Path:
    """Write one OME-Zarr 0.5: one plane a chunk. Raises MissingExtraError where yaozarrs is not installed."""
    try:
        from yaozarrs import v05
        from yaozarrs.write.v05 import prepare_image
    except ImportError as error:
        raise MissingExtraError('--to ome-zarr needs yaozarrs; install it: pip install ".[export]"') from error
    path = folder / f"{film.name}.ome.zarr"
    scale = film.um_per_px
    image = v05.Image(
        multiscales=[
            v05.Multiscale(
                name=film.name,
                axes=[
                    v05.TimeAxis(name="t", unit="second"),
                    v05.SpaceAxis(name="y", unit="micrometer" if scale else None),
                    v05.SpaceAxis(name="x", unit="micrometer" if scale else None),
                ],
                datasets=[
                    v05.Dataset(
                        path="0",
                        coordinateTransformations=[
                            v05.ScaleTransformation(scale=[film.step_s or 1.0, scale or 1.0, scale or 1.0]),
                            v05.TranslationTransformation(translation=[film.t_s[0], 0.0, 0.0]),
                        ],
                    )
                ],
            )
        ]
    )
    times = {"notice": NOTICE, "t_s": list(film.t_s), "even": film.even, "um_per_px": scale}
    shape = (len(film.frames), film.height, film.width)
    _, arrays = prepare_image(
        path, image, (shape, np.uint8), chunks=(1, film.height, film.width), writer="zarr",
        extra_attributes={"rostfine": times},
    )  # fmt: skip
    array = arrays["0"]
    for number, pixels in enumerate(film.read()):
        array[number] = pixels
        beat()
    return path


def write_mp4(film: Pictures, folder: Path, beat: Beat) -> Path:
    """Write one film for people: H.264, with loss, at its true pace; below the picture the time and what it is for.

    Raises SessionError where no film can have its times.
    """
    path = folder / f"{film.name}.mp4"
    factor = max(1, -(-LEAST_WIDTH_PX // film.width))
    try:
        _encode(film, path, factor, beat)
    except av.FFmpegError as error:
        raise SessionError(
            f"{path.name}: cannot be made into a film ({error.strerror}), its {len(film.frames)} frames lie "
            f"{film.t_s[-1] - film.t_s[0]:.6g} s apart; give a part with --from and --until, or --to ome-tiff"
        ) from error
    return path


def _encode(film: Pictures, path: Path, factor: int, beat: Beat) -> None:
    width, height = film.width * factor, film.height * factor
    even_width, even_height = width + width % 2, height + STRIP_PX + height % 2
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = NOTICE
        container.metadata["title"] = film.name
        stream: Any = container.add_stream(
            "libx264", rate=Fraction(max(1.0, 1 / (film.step_s or 1.0))).limit_denominator(1000)
        )
        stream.width, stream.height, stream.pix_fmt = even_width, even_height, "yuv420p"
        stream.options = {"crf": MP4_QUALITY, "preset": "veryfast"}
        stream.codec_context.time_base = Fraction(1, MP4_CLOCK)
        last = -1
        for t_s, pixels in zip(film.t_s, film.read(), strict=True):
            canvas = np.zeros((even_height, even_width), np.uint8)
            canvas[:height, :width] = _enlarged(pixels, factor)
            _write_line(canvas[height:], f"{t_s:8.2f} s   {NOTICE}")
            frame = av.VideoFrame.from_ndarray(canvas, format="gray").reformat(format="yuv420p")
            last = max(last + 1, round((t_s - film.t_s[0]) * MP4_CLOCK))
            frame.pts, frame.time_base = last, Fraction(1, MP4_CLOCK)
            container.mux(stream.encode(frame))
            beat()
        container.mux(stream.encode(None))


def _enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    if factor == 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)


def _write_line(strip: NDArray[np.uint8], text: str) -> None:
    """Write text as large as fits into a strip (H, W)."""
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    scale = min(0.5, 0.5 * (strip.shape[1] - 8) / wide)
    cv2.putText(strip, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
