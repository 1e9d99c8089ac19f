"""A study in its folder: brought into force, extended, and its raters invited, each with an order of clips.

What has been drawn stays: a changed study adds clips at the end of the orders or takes them out of what is asked. Every
change is a line in the log. It does not know browsers or votes.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from station.errors import InputError
from station.files import write_atomically
from trainer.data.dataset import Clips, open_clips, read_hashes
from trainer.rating.database import DATABASE, create_database
from trainer.rating.links import make_link
from trainer.rating.orders import Item, Kind, choose, order_of, share_of, spread_over, top_up
from trainer.rating.records import Person
from trainer.rating.store import INVITED, Store
from trainer.rating.study import STUDY, Study, new_study, parse_study, read_study

TOP_UP: Final = 0x70
"""Keeps the numbers of later shares apart from those of the first."""
SUFFIX: Final = "-rating"
"""The study of DATA lies beside it, not in it: a folder of clips is given away, invitations are not."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What is given to one rater."""

    rater: str
    word: str
    """The secret in the link."""


def study_folder(data: Path) -> Path:
    """Return where the study of a folder of clips lies, if nothing else is said."""
    return data.resolve().parent / (data.resolve().name + SUFFIX)


def begin_study(folder: Path, data: Path) -> Path:
    """Make a folder with a study file to be edited, and return the file. Raises InputError where there is one."""
    open_clips(data, verify=False, unlabelled=True)
    path = folder / STUDY
    if path.exists():
        raise InputError(f"{path} exists already; edit it, or give another --study")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    write_atomically(path, new_study(data.resolve().name).encode())
    return path


def bring_into_force(folder: Path, data: Path, t_ms: int) -> tuple[Study, Clips, list[str]]:
    """Read the study file and let the database follow it; return the study, its clips, and what has changed.

    Raises InputError where the file, the clips, or the change cannot be.
    """
    if not (folder / STUDY).is_file():
        raise InputError(f"{folder}: no {STUDY}; python -m trainer rate {data} --new writes one")
    study, text = read_study(folder / STUDY)
    clips = open_clips(data, unlabelled=True)
    chosen = _chosen(study, clips, folder / STUDY)
    create_database(folder / DATABASE)
    with Store(folder / DATABASE) as store, store.all_or_nothing():
        changes = _follow(store, study, text, chosen, folder / STUDY)
        for change in changes:
            store.write_log(change, t_ms)
        if changes:
            store.put_study(hashlib.sha256(text.encode()).hexdigest(), text, t_ms)
    return study, clips, changes


def begun_study(folder: Path, data: Path, t_ms: int) -> tuple[Study, list[str]]:
    """Return the study in force for a command beside the server, begun where it has not, and what is to be said.

    A changed file comes into force only where the server starts: one that runs would go on with the old study.
    """
    if (folder / DATABASE).is_file():
        with Store(folder / DATABASE) as store:
            text = store.study_text()
        if text:
            notices = []
            if read_study(folder / STUDY)[1] != text:
                notices.append(
                    f"{STUDY} has changed; that counts once the server is started again, not in this command"
                )
            return parse_study(text, "the study in force"), notices
    study, _, changes = bring_into_force(folder, data, t_ms)
    return study, changes


def study_in_force(store: Store) -> Study:
    """Return the study that votes are collected under."""
    return parse_study(store.study_text(), "the study in force")


def invite(store: Store, study: Study, names: Sequence[str], days: float, t_ms: int) -> list[Invitation]:
    """Add raters, each with a link and an order of clips. Raises InputError where a name or the number cannot be."""
    invitations = []
    with store.all_or_nothing():
        for name in names:
            store.add_rater(name, INVITED)
            present = len([row for row in store.raters(t_ms) if row.origin == INVITED and row.link != "revoked"])
            if present > study.raters:
                raise InputError(
                    f"the study plans {study.raters} raters, this would be number {present}; raise raters in {STUDY} "
                    "and start the server again"
                )
            _give_order(store, study, name)
            invitations.append(Invitation(name, make_link(store, Person("rater", name), days, t_ms)))
            store.write_log(f"rater {name} invited, {days:g} days", t_ms)
    return invitations


def base_of(study: Study) -> str:
    """Return the address before a link's word."""
    return study.server.url or f"http://{study.server.host}:{study.server.port}"


def new_names(store: Store, count: int) -> list[str]:
    """Return so many pseudonyms that are not taken."""
    taken = {row.name for row in store.raters(0)}
    free = (name for k in range(1, len(taken) + count + 1) if (name := f"rater-{k:02d}") not in taken)
    return [next(free) for _ in range(count)]


def _chosen(study: Study, clips: Clips, origin: Path) -> dict[str, str]:
    """Return SHA-256 of each clip that the study asks for, calibration clips included. Raises InputError."""
    hashes = read_hashes(clips.root)
    there = {row.id: hashes[row.file] for row in clips.rows}
    calibrating = [one.clip for one in study.calibration]
    wanted = list(there) if study.clips == "all" else [*study.clips, *calibrating]
    for clip in [*wanted, *calibrating]:
        if clip not in there:
            raise InputError(f"{origin}: there is no clip {clip!r} in {clips.root}; the ids are in its clips.csv")
    if not set(wanted) - set(calibrating):
        raise InputError(f"{origin}: no clip is left to grade beside those for calibration; name more clips")
    return {clip: there[clip] for clip in wanted}


def _follow(store: Store, study: Study, text: str, chosen: dict[str, str], origin: Path) -> list[str]:
    """Let the tables follow the study; return what has changed, in words."""
    known = store.clips()
    for clip, digest in chosen.items():
        if known.get(clip, (digest, True))[0] != digest:
            raise InputError(f"clip {clip!r} is another film than the one that was rated; bring the old one back")
    before = store.study_text()
    if not before:
        store.put_clips(chosen)
        return [f"study begun with {len(chosen)} clips"]
    was = parse_study(before, "the study in force")
    if was.seed != study.seed:
        raise InputError(f"{origin}: the orders were drawn with seed {was.seed}, not {study.seed}; put it back")
    if [one.clip for one in was.calibration] != [one.clip for one in study.calibration]:
        raise InputError(f"{origin}: the calibration clips cannot change once the study has begun; put them back")
    if _votes_wanted(study) < _votes_wanted(was) and any(row.origin == INVITED for row in store.raters(0)):
        raise InputError(
            f"{origin}: orders were drawn with raters_per_clip = {was.raters_per_clip}; it can be raised, but what was "
            "drawn stays: put it back, or begin another --study"
        )
    changes = [
        f"{key}: {getattr(was, key)} is now {getattr(study, key)}"
        for key in Study.model_fields
        if key != "clips" and getattr(was, key) != getattr(study, key)
    ]
    current = {clip for clip, (_, is_in) in known.items() if is_in}
    added, gone = sorted(chosen.keys() - current), sorted(current - chosen.keys())
    store.put_clips(chosen)
    new = [clip for clip in added if clip not in known]
    _extend(store, study, new, len(known))
    topped_up = _top_up(store, study) if _shares(was) != _shares(study) else {}
    if topped_up:
        least, most = min(topped_up.values()), max(topped_up.values())
        changes.append(
            f"{sum(topped_up.values())} assignments more, at the ends of the orders of {len(topped_up)} raters: "
            f"{least if least == most else f'{least} to {most}'} each"
        )
    if added:
        changes.append(f"{len(added)} clips more: {_shortened(added)}")
    if gone:
        changes.append(f"{len(gone)} clips taken out, their votes are kept aside: {_shortened(gone)}")
    if not changes and before != text:
        changes.append("study.toml written anew, nothing in it changed")
    return changes


def _give_order(store: Store, study: Study, name: str) -> None:
    """Draw the order of a new rater."""
    assigned = _assigned(store, study)
    rng = _rng(study, name, 0)
    mine = choose(assigned, share_of(len(assigned), study.raters, _per_clip(study)), rng)
    store.add_items(name, [Item(one.clip, Kind.CALIBRATION) for one in study.calibration])
    store.add_items(name, order_of(mine, study.repeats, rng))


def _top_up(store: Store, study: Study) -> dict[str, int]:
    """Bring every rater's order up to the share that the study now gives; return how many clips more, by rater.

    They come at the end, in an order of their own; what was drawn before stays as it is.
    """
    assigned = _assigned(store, study)
    orders = {name: store.items(name) for name in _present(store)}
    own = {
        name: {item.clip for item, _ in items if item.kind is Kind.CLIP and item.clip in assigned}
        for name, items in orders.items()
    }
    share = share_of(len(assigned), study.raters, _per_clip(study))
    places = sum(len(items) for items in orders.values())
    more = top_up(own, assigned, share, _per_clip(study), np.random.default_rng([study.seed, TOP_UP, places]))
    for name, clips in more.items():
        store.add_items(name, order_of(clips, study.repeats, _rng(study, name, len(orders[name]), TOP_UP)))
    return {name: len(clips) for name, clips in more.items() if clips}


def _present(store: Store) -> list[str]:
    """Return the raters who may still grade: those whose link was not taken back."""
    return [row.name for row in store.raters(0) if row.origin == INVITED and row.link == "open"]


def _assigned(store: Store, study: Study) -> dict[str, int]:
    """Return, by clip that is to be graded, how many raters have graded it or will."""
    calibrating = {one.clip for one in study.calibration}
    assigned = {clip: 0 for clip, (_, is_in) in store.clips().items() if is_in and clip not in calibrating}
    for row in store.raters(0):
        # Whoever's link was taken back will grade no more: only what is graded counts.
        done = {head.position for head in store.heads(row.name) if not head.open}
        for position, (item, _) in enumerate(store.items(row.name)):
            if item.kind is Kind.CLIP and item.clip in assigned and (row.link == "open" or position in done):
                assigned[item.clip] += 1
    return assigned


def _per_clip(study: Study) -> int | None:
    return None if study.raters_per_clip == "all" else study.raters_per_clip


def _votes_wanted(study: Study) -> float:
    """Return how many votes a clip is to get; of all raters: more than any number."""
    return math.inf if study.raters_per_clip == "all" else study.raters_per_clip


def _shares(study: Study) -> tuple[int, int | None]:
    """Return what a rater's share of the clips follows from."""
    per_clip = _per_clip(study)
    return (0 if per_clip is None else study.raters), per_clip


def _extend(store: Store, study: Study, new: Sequence[str], known: int) -> None:
    """Give new clips to the raters that are there."""
    if not new:
        return
    loads = {name: len(store.items(name)) for name in _present(store)}
    given = spread_over(loads, new, _per_clip(study), np.random.default_rng([study.seed, 0xADD, known]))
    for name, clips in given.items():
        store.add_items(name, order_of(clips, study.repeats, _rng(study, name, known)))


def _rng(study: Study, name: str, *stage: int) -> np.random.Generator:
    """Return the numbers of one rater's order: from the seed, the pseudonym, and how much there was before."""
    person = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng([study.seed, person, *stage])


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
