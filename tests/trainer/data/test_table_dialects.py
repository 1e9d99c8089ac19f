"""Tables in every mixture of the ways in which programs write them: the right values or a refusal, never others."""

import csv
import io
import random
from pathlib import Path

import pytest

from station.errors import InputError
from trainer.data.tags import read_tags

Point = tuple[float, float]


def written(value: float, places: int, decimal: str, thousands: str) -> str:
    whole, _, fraction = f"{value:,.{places}f}".partition(".")
    return whole.replace(",", thousands) + (decimal + fraction if places else "")


def random_table(rng: random.Random) -> tuple[bytes, list[Point]]:
    """Return a table as some program may write it, and the points that it means."""
    decimal, separator, places = rng.choice(".,"), rng.choice(",;\t|"), rng.randrange(5)
    thousands = rng.choice(["", "", {".": ",", ",": "."}[decimal], " ", "\u00a0", "'"])
    points = [
        (round(rng.uniform(0, 2000), places), round(rng.uniform(0, 1500), places)) for _ in range(rng.randint(1, 5))
    ]
    header = [
        "video",
        "id",
        "x",
        "y",
        *rng.choice([[], ["source"], ["frame", "source"], ["um_per_px", "frame", "source"]]),
    ]
    optional = {"source": "donor", "frame": "3", "um_per_px": f"0{decimal}25"} if rng.random() < 0.7 else {}
    lines = [[rng.choice([str.upper, str.title, str])(name) for name in header]]
    for number, point in enumerate(points, start=1):
        x, y = (written(value, places, decimal, thousands) for value in point)
        known = {"video": "d07.mp4", "id": str(number), "x": x, "y": y, **optional}
        lines.append([known.get(name, "") for name in header])
    if rng.random() < 0.2:
        lines = [[str(number or ""), *line] for number, line in enumerate(lines)]
    if rng.random() < 0.2:
        lines = [[*line, "", ""] for line in lines]
    if rng.random() < 0.2:
        lines.insert(rng.randint(1, len(lines)), [""] * len(lines[0]))
    end = rng.choice(["\r\n", "\n", "\r"])
    if rng.random() < 0.2:  # as a script that knows nothing of quotes
        text = "".join(separator.join(line) + end for line in lines)
    else:
        buffer = io.StringIO()
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        csv.writer(buffer, delimiter=separator, lineterminator=end, quoting=quoting).writerows(lines)
        text = buffer.getvalue()
    if rng.random() < 0.15:
        text = f"sep={separator}{end}{text}"
    return text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])), points


@pytest.mark.parametrize("seed", range(5))
def test_a_table_gives_the_right_values_or_none(tmp_path: Path, seed: int) -> None:
    rng, path, right = random.Random(seed), tmp_path / "t.csv", 0
    for _ in range(200):
        content, points = random_table(rng)
        path.write_bytes(content)
        try:
            found = read_tags(path)
        except InputError:
            continue
        got = [(tag.x, tag.y) for tag in found.tags]
        if found.problems:
            assert set(got) <= set(points), content
        else:
            assert got == points, content
            right += 1
    assert right > 180
