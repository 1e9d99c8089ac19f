"""Votes that were collected by other means (paper, another program) are taken into a study, once.

A rater of that table who was invited too gets the votes at the positions of his or her own order. It knows tables and
the database.
"""

import uuid
from pathlib import Path

from station.errors import InputError
from trainer.data.clip_ids import match_ids
from trainer.data.tables import read_table
from trainer.data.votes import SINGLE, single_votes
from trainer.rating.orders import Item, Kind
from trainer.rating.records import GivenVote
from trainer.rating.store import ELSEWHERE, Store


def take_in(store: Store, path: Path, t_ms: int) -> tuple[int, int]:
    """Take in a table ``id,rater,grade``; return how many votes were new, and of how many raters.

    Raises InputError, and takes nothing, where the study is closed, a clip is not in it, or a rater has graded it
    otherwise already.
    """
    try:
        found = read_table(path, SINGLE)
        if {name for name in found.columns if name} != set(SINGLE):
            raise InputError(f"line {found.header_line}: expected the columns {','.join(SINGLE)}, one row per vote")
        votes = single_votes(found)
    except InputError as error:
        raise InputError(f"--take-in {path}: {error}") from error
    clips = match_ids({clip: 0 for clip, _ in votes}, [clip for clip, (_, is_in) in store.clips().items() if is_in])
    with store.all_or_nothing():
        if store.closed:
            raise InputError(f"--take-in {path}: the study is closed; --reopen it first, nothing was taken in")
        names = {row.name for row in store.raters(t_ms)}
        new = 0
        for rater in sorted({rater for _, rater in votes}):
            if rater not in names:
                store.add_rater(rater, ELSEWHERE)
            new += _take_in_rater(store, rater, votes, clips, path, t_ms)
        raters = len({rater for _, rater in votes})
        store.write_log(f"{new} votes of {raters} raters taken in from {path.name}", t_ms)
    return new, raters


def _take_in_rater(
    store: Store, rater: str, votes: dict[tuple[str, str], str], clips: dict[str, str], path: Path, t_ms: int
) -> int:
    places = {item.clip: place for place, (item, _) in enumerate(store.items(rater)) if item.kind is Kind.CLIP}
    heads = {head.position: head for head in store.heads(rater)}
    given: list[GivenVote] = []
    for (text, name), grade in votes.items():
        if name != rater:
            continue
        if text not in clips:
            raise InputError(f"--take-in {path}: clip {text!r} is not in the study; nothing was taken in")
        clip = clips[text]
        if clip not in places:
            places[clip] = store.add_items(rater, [Item(clip, Kind.CLIP)])
        head = heads.get(places[clip])
        if head is not None and not head.open:
            if head.grade != grade:
                raise InputError(
                    f"--take-in {path}: rater {rater!r} graded clip {clip!r} {head.grade or head.reason} here and "
                    f"{grade} there; keep one of them, nothing was taken in"
                )
            continue
        given.append(
            GivenVote(str(uuid.uuid4()), places[clip], head.id if head else "", grade, "", "", 0, t_ms, ELSEWHERE)
        )
    aside = next((one for one in store.vote(rater, given, t_ms) if not one.counts), None)
    if aside is not None:
        raise InputError(
            f"--take-in {path}: a vote of rater {rater!r} does not count ({aside.why}); nothing was taken in"
        )
    return len(given)
