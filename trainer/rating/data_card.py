"""What a reader of the data must know: what was graded by how many under which question, and how far they agree."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from station.errors import MissingExtraError
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.data.raters import TABLE_1
from trainer.rating.orders import Kind
from trainer.rating.records import KeptVote
from trainer.rating.store import ELSEWHERE
from trainer.rating.study import Study


def data_card(study: Study, votes: Sequence[KeptVote], raters: Sequence[str], *, closed: bool) -> str:
    """Return the card as Markdown. ``votes`` are all that count."""
    try:
        from trainer.rating.agreement import alpha, fleiss, grid
        from trainer.rating.habits import consistency
        from trainer.rating.stopping import advise
    except ImportError as error:
        raise MissingExtraError(f"rate: the package {error.name} is missing; pip install '.[rate]'") from error

    found = grid(votes)
    counts = found.counts
    totals = counts.sum(axis=1)
    kappa, same_clips = fleiss(counts)
    again = consistency(found, grid(votes, Kind.REPEAT), raters)
    advice = advise(found)
    elsewhere = [vote for vote in votes if vote.browser == ELSEWHERE]
    unjudged = [vote for vote in votes if vote.reason and vote.kind == Kind.CLIP.value]
    days = sorted(datetime.fromtimestamp(vote.t_server_ms / 1000, UTC).date().isoformat() for vote in votes)
    reasons = sorted(Counter(vote.reason for vote in unjudged).items())
    blank = Counter(vote.clip for vote in unjudged)
    graded = dict(zip(found.clips, totals.tolist(), strict=True))
    blind = sorted(clip for clip, times in blank.items() if times > graded.get(clip, 0))
    facts = [
        ("clips with votes", f"{len(found.clips)}"),
        ("raters who voted", f"{len(found.raters)} of {len(raters)}"),
        ("votes", f"{int(totals.sum())}; {totals.min()} to {totals.max()} a clip, mean {totals.mean():.1f}"),
        ("collected", f"{days[0]} to {days[-1]}, study {'closed' if closed else 'not closed'}"),
        ("can't be judged", f"{len(unjudged)}" + "".join(f"; {_plain(why)}: {n}" for why, n in reasons)),
        ("clips that most could not judge", f"{len(blind)}" + (": " + ", ".join(map(_plain, blind)) if blind else "")),
        ("votes from elsewhere", f"{len(elsewhere)} of {len({vote.rater for vote in elsewhere})} raters"),
        ("Krippendorff's alpha, ordinal", _number(alpha(found.steps))),
        ("Fleiss' kappa", f"{_number(kappa)} ({same_clips} clips with equally many votes)"),
        ("same grade the second time", f"{_percent(again.same)}; within one step {_percent(again.near)} "
                                       f"({again.repeats} hidden repeats)"),
    ]  # fmt: skip
    if advice is not None:
        five = next(one for one in advice.movements if one.more == 5)
        facts.append(
            ("five more votes a clip would move", f"a clip's share of a grade by {five.clip_points:.1f} points (rms)")
        )
    most = np.bincount(counts.argmax(axis=1), minlength=len(GRADES))
    classes = [
        f"| {grade} | {_plain(study.words_of(grade))} | {most[k]} ({most[k] / most.sum():.1%}) | "
        f"{counts[:, k].sum() / counts.sum():.1%} | {TABLE_1[k]} ({TABLE_1[k] / sum(TABLE_1):.1%}) |"
        for k, grade in enumerate(GRADES)
    ]
    return "\n".join(
        [
            f"# {_plain(study.title)}: graded clips",
            "",
            f"**{NOTICE}**",
            "",
            f"Question to the raters: {_plain(study.question)}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in facts),
            "",
            "Clips by most-voted grade (ties to the better grade), and all votes; beside them Table 1 of the RoSTFine "
            "paper (Fujii et al., WACV 2024), 615 clips by 40 experts:",
            "",
            "| grade | in the lab's words | most-voted | votes | paper |",
            "|---|---|---|---|---|",
            *classes,
            "",
            "Each invited rater saw the clips in an order of his or her own and never another's vote; a share of the "
            f"clips ({study.repeats:.0%}) came a second time unannounced, and those answers are not among the votes. "
            f"{len(study.calibration)} clips with agreed grades came first and are not among the votes either. Raters "
            "are pseudonyms. `study.toml` is the study, `log.csv` its changes, `ratings.csv` every rating, "
            "`history.csv` every act, taken back or not.",
            "",
        ]
    )


def _plain(text: str) -> str:
    """Return what somebody typed as text of a Markdown table: one line, no markup."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("&", "&amp;").replace("<", "&lt;")


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
