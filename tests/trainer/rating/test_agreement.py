"""Agreement equals published worked examples and a second library (NLTK)."""

import numpy as np
import pytest

pytest.importorskip("krippendorff", reason="statistics need the extra rate")
pytest.importorskip("statsmodels", reason="statistics need the extra rate")

from nltk.metrics.agreement import AnnotationTask

from trainer.rating.agreement import Grid, alpha, fleiss, pair
from trainer.rating.habits import consistency, division, habits
from trainer.rating.records import KeptVote
from trainer.rating.stopping import advise

_ = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
) - 1  # fmt: skip
"""K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: four observers, twelve units."""

FLEISS = (
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445 333335 "
    "111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"
)
"""J. L. Fleiss, Psychological Bulletin 76, 378 (1971), table 1: thirty patients, six psychiatrists, five diagnoses."""


def counts(text: str) -> np.ndarray:
    return np.array([[word.count(str(k)) for k in range(1, 6)] for word in text.split()])


def task(steps: np.ndarray, distance: object = None) -> AnnotationTask:
    rows = [(f"r{i}", f"c{j}", int(value)) for (i, j), value in np.ndenumerate(steps) if not np.isnan(value)]
    return AnnotationTask(rows, distance) if distance else AnnotationTask(rows)


def ordinal(steps: np.ndarray) -> object:
    """Krippendorff's ordinal difference, which depends on how often each value is used."""
    used = steps[:, (~np.isnan(steps)).sum(axis=0) >= 2]
    n = np.array([(used == k).sum() for k in range(5)], float)

    def difference(a: int, b: int) -> float:
        low, high = sorted((a, b))
        return float((n[low : high + 1].sum() - (n[low] + n[high]) / 2) ** 2)

    return difference


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_example(level: str, published: float) -> None:
    assert alpha(KRIPPENDORFF, level) == pytest.approx(published, abs=0.0005)


@pytest.mark.parametrize("seed", range(3))
def test_alpha_and_kappa_are_those_of_nltk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 40)
    steps = np.clip(truth + rng.integers(-1, 2, (7, 40)), 0, 4).astype(float)
    found, pairs = fleiss(Grid((), (), steps).counts)
    assert pairs == 40
    assert found == pytest.approx(task(steps).pi(), abs=1e-9)  # Siegel and Castellan's K: Fleiss' kappa
    steps[rng.random(steps.shape) < 0.3] = np.nan
    shared = steps[:, (~np.isnan(steps)).sum(axis=0) >= 2]
    assert alpha(steps) == pytest.approx(task(shared, ordinal(steps)).alpha(), abs=1e-9)
    assert alpha(KRIPPENDORFF) == pytest.approx(0.815, abs=0.0005)


def test_kappa_is_that_of_fleiss_paper() -> None:
    found, patients = fleiss(counts(FLEISS))
    assert (found, patients) == (pytest.approx(0.430, abs=0.0005), 30)


def test_weighted_kappa_of_a_pair_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    one = rng.integers(0, 5, 60).astype(float)
    other = np.clip(one + rng.integers(-1, 3, 60), 0, 4)
    found = pair(one, other)
    assert found is not None
    assert found.kappa == pytest.approx(sklearn.cohen_kappa_score(one, other, weights="quadratic"))
    assert found.same == (one == other).mean()


def test_what_is_not_defined_is_none() -> None:
    assert alpha(np.full((3, 4), np.nan)) is None
    assert alpha(np.full((3, 4), 2.0)) is None
    assert alpha(np.empty((0, 0))) is None
    assert fleiss(np.zeros((3, 5), int)) == (None, 0)
    assert fleiss(np.array([[0, 3, 0, 0, 0]])) == (None, 1)
    assert pair(np.zeros(5), np.zeros(5)) is None
    found = pair(np.zeros(20), np.zeros(20))
    assert found is not None
    assert (found.same, found.kappa) == (1.0, None)
    assert advise(Grid((), (), np.empty((0, 0)))) is None


def kept(rater: str, clip: str, grade: str, kind: str = "clip") -> KeptVote:
    return KeptVote(0, "", rater, 0, clip, kind, "", grade, "" if grade else "other", "", 3000, 0, 0, "", 1, "")


def test_leaning_spread_and_consistency_of_made_up_raters() -> None:
    mean = "BCDBCDBCD"
    stricter = "CDECDECDE"
    votes = [kept("mild", f"c{k}", grade) for k, grade in enumerate(mean)]
    votes += [kept("also", f"c{k}", grade) for k, grade in enumerate(mean)]
    votes += [kept("hard", f"c{k}", grade) for k, grade in enumerate(stricter)]
    votes += [kept("mild", "c0", "B", "repeat"), kept("mild", "c1", "D", "repeat"), kept("mild", "c2", "", "repeat")]
    mild, hard, new = habits(votes, ["mild", "hard", "new"])
    assert hard.leaning == pytest.approx(1.0)
    assert mild.leaning == pytest.approx(-0.5)
    assert (mild.votes, mild.unjudged, mild.seconds) == (9, 1, 3.0)
    assert (mild.consistency.repeats, mild.consistency.same, mild.consistency.near) == (2, 0.5, 1.0)
    assert mild.consistency.shift == pytest.approx(0.5)
    assert (new.votes, new.leaning, new.consistency.repeats) == (0, None, 0)
    nothing = Grid((), (), np.empty((0, 0)))
    assert consistency(nothing, nothing, ["mild"]).same is None


def test_a_split_panel_stands_out() -> None:
    found = division(np.array([[20, 0, 0, 0, 20], [0, 20, 20, 0, 0], [0, 0, 40, 0, 0], [1, 0, 0, 0, 0]]))
    assert found[:3] == pytest.approx([2.0, 0.5, 0.0])
    assert np.isnan(found[3])


def test_what_more_raters_change_is_as_foretold() -> None:
    """Panels are drawn, five raters more vote, and the distributions move by what was said before they did."""
    rng = np.random.default_rng(7)
    quality = rng.uniform(0.5, 3.5, 80)
    moved, foretold, means, means_foretold = [], [], [], []
    for _draw in range(60):
        strict = rng.normal(0, 0.5, (15, 1))
        steps = np.clip(np.rint(quality + strict + rng.normal(0, 0.6, (15, 80))), 0, 4)
        before, after = (np.stack([(part == g).mean(axis=0) for g in range(5)]) for part in (steps[:10], steps))
        moved.append(((after - before) ** 2).mean())
        means.append(((after.mean(axis=1) - before.mean(axis=1)) ** 2).mean())
        advice = advise(Grid(tuple("abcdefghij"), tuple(map(str, range(80))), steps[:10]))
        assert advice is not None
        five = next(one for one in advice.movements if one.more == 5)
        foretold.append((five.clip_points / 100) ** 2)
        means_foretold.append(((five.mean_points or 0) / 100) ** 2)
    one_vote = np.full((1, 80), np.nan)
    one_vote[0, 0] = 4
    more = advise(Grid(tuple("abcdefghijk"), tuple(map(str, range(80))), np.concatenate([steps[:10], one_vote])))
    assert more is not None  # somebody who has hardly begun changes nothing
    assert more.movements[1].mean_points == pytest.approx(five.mean_points, rel=0.05)
    assert np.mean(foretold) == pytest.approx(np.mean(moved), rel=0.1)
    assert np.mean(means_foretold) == pytest.approx(np.mean(means), rel=0.3)
    assert advice.settled_at is not None
    assert 15 < advice.settled_at < 100
