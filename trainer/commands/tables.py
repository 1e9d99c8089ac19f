"""``python -m trainer tables``: train every system of a study on every fold, and put the paper's tables together.

The same command goes on where it was cut off: what is finished is not done again, what is half done continues after its
last whole epoch.
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from station.archive.sessions_command import duration
from station.batch.places import here, on_cluster
from station.console import Console
from station.errors import InputError
from station.files import read_json, write_atomically
from station.notice import NOTICE
from trainer.training.run import require_training, set_threads

if TYPE_CHECKING:
    from trainer.studies.costs import Cost
    from trainer.studies.estimate import Estimate
    from trainer.studies.plan import Plan, PlannedRun
    from trainer.studies.tables import Table

COSTS: Final = "costs.json"
DRIVER_LOCK: Final = "lock"
EPILOG: Final = """\
STUDY.toml names clips, folds, systems and ablations; docs/tables.md has an example. OUT holds folds.json, runs/NAME
(each a run of python -m trainer train, with result.json once it is finished), and, again after every run that ends,
tables.md, every table as CSV, figures as PNG and SVG.

examples:
  python -m trainer tables STUDY.toml --plan             what is to be done, and how long it takes
  python -m trainer tables STUDY.toml                    do it, or go on
  python -m trainer tables STUDY.toml --ray auto         on a Ray cluster that is there: pip install ".[cluster]"
  python -m trainer tables STUDY.toml --run 7            run 7 of the plan alone, as in array jobs of a batch system"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s STUDY.toml [--out DIR] [--plan | --run RUN | --workers N | --ray ADDRESS]"
    parser.epilog = EPILOG
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="what is compared")
    parser.add_argument("--out", type=Path, metavar="OUT", help="folder of the study (default: STUDY, beside the file)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--plan", action="store_true", help="print the plan and its time, and do nothing")
    which.add_argument("--run", metavar="RUN", help="do one run of the plan, by its name or number, in this process")
    which.add_argument("--workers", type=int, metavar="N", help="runs at a time here (default: cores / cores of a run)")
    which.add_argument("--ray", metavar="ADDRESS", help="on a Ray cluster: auto, or HOST:PORT of its head")


def run(args: argparse.Namespace) -> int:
    """Plan, carry out, put together."""
    require_training()
    from trainer.studies.lock import only_one
    from trainer.studies.plan import make_plan
    from trainer.studies.study import read_study
    from trainer.studies.workers import ending_with_its_starter

    if args.workers is not None and not 1 <= args.workers <= 1024:
        raise InputError(f"--workers {args.workers}: expected 1 to 1024")
    read_study(args.study)  # before there is a folder
    out: Path = args.out or args.study.with_suffix("")
    if out == args.study:
        raise InputError(f"{args.study}: its name has no ending, so its folder would have the same; give --out")
    if args.run is not None:
        with ending_with_its_starter():
            return _one(make_plan(args.study, out, verify=False), args.run)
    if args.plan:
        return _all(make_plan(args.study, out, verify=False), args)
    with only_one(out / DRIVER_LOCK, "carries out this study"):
        return _all(make_plan(args.study, out, verify=True), args)


def _one(plan: "Plan", named: str) -> int:
    """Carry out one run in this process."""
    from trainer.studies.run import carry_out_run

    found = _find(plan, named)
    set_threads(plan.study.cpus)
    fold = list(plan.folds[found.recipe.fold - 1])
    carry_out_run(found, plan.clips, fold, _device(plan), Console())
    return 0


def _all(plan: "Plan", args: argparse.Namespace) -> int:
    """Carry out what is missing and write the tables, again after every run."""
    from trainer.studies.estimate import total_s
    from trainer.studies.report import write_study
    from trainer.studies.results import gather
    from trainer.studies.tables import conclusions, short_table

    console = Console()
    by_cores = (os.cpu_count() or 1) // plan.study.cpus
    by_gpu = int(1 / plan.study.gpus) if plan.study.gpus else by_cores  # here all use the first GPU
    workers = args.workers or max(1, min(by_cores, by_gpu))
    estimates = _estimates(plan)
    console.print(_plan_table(plan, estimates))
    to_do = [run for run in plan.runs if not run.finished]
    needs = f"{plan.study.cpus} cores" if plan.study.cpus > 1 else "1 core"
    needs += f" and {plan.study.gpus:g} GPU" if plan.study.gpus else ""
    left = f"about {duration(total_s(estimates, workers))} here, {workers} at a time" if to_do else "nothing"
    finished = f"{len(plan.runs) - len(to_do)} of {len(plan.runs)} runs are finished"
    console.print(f"{finished}; each needs {needs}; left: {left}", soft_wrap=True)
    if args.plan:
        return 0
    try:
        problems = _carry_out(plan, to_do, args, workers, console)
    except KeyboardInterrupt:
        console.print("finished runs and epochs are kept; the same command goes on")
        raise
    results = gather(plan)
    if not results.runs:
        raise InputError(f"none of the {len(plan.runs)} runs succeeded; {plan.out}/runs/NAME/output.txt says why")
    write_study(plan, results, _costs(plan))
    console.print(_grid(short_table(results, plan.study.ours)))
    for sentence in conclusions(results, plan.study.ours):
        console.print(f"- {sentence}", soft_wrap=True)
    for name, problem in problems.items():
        console.print(f"failed: {name}: {problem}", soft_wrap=True)
    console.print(NOTICE)
    console.print(f"{plan.out / 'tables.md'}", soft_wrap=True)
    return 1 if problems else 0


def _carry_out(
    plan: "Plan", to_do: list["PlannedRun"], args: argparse.Namespace, workers: int, console: Console
) -> dict[str, str]:
    """Carry out runs, taking their results in as they come; return the problems by run."""
    from trainer.studies.report import write_study
    from trainer.studies.results import gather
    from trainer.studies.workers import RunTask, carry_out, given_up

    study, out = str(plan.path.absolute()), str(plan.out.absolute())
    tasks = [RunTask(run.name, study, out, str(run.out.absolute()), plan.study.cpus) for run in to_do]
    if not tasks:
        return {}
    if args.ray:
        ended = on_cluster(tasks, carry_out, given_up, args.ray, plan.study.cpus, plan.study.gpus)
    else:
        ended = here(tasks, carry_out, workers)
    problems: dict[str, str] = {}
    begun = time.monotonic()
    for number, one in enumerate(ended, 1):
        if one.problem:
            problems[one.name] = one.problem
        left_s = (time.monotonic() - begun) / number * (len(tasks) - number)
        left = f", about {duration(left_s)} left" if number < len(tasks) else ""
        again = f", killed and started again ({one.killed})" if one.killed else ""
        what = one.problem or f"finished in {duration(one.wall_s)}"
        console.print(f"[{number}/{len(tasks)}] {one.name}: {what}{again}{left}", soft_wrap=True)
        results = gather(plan)
        if results.runs:
            write_study(plan, results, {}, figures=False)
    return problems


def _find(plan: "Plan", named: str) -> "PlannedRun":
    """Return a run by its name or number."""
    runs = plan.runs
    if named.isdecimal() and 1 <= int(named) <= len(runs):
        return runs[int(named) - 1]
    for found in runs:
        if found.name == named:
            return found
    raise InputError(f"--run {named}: the plan has runs 1 to {len(runs)}, {runs[0].name} the first of them")


def _device(plan: "Plan") -> str:
    return "cuda" if plan.study.gpus else "cpu"


def _estimates(plan: "Plan") -> list["Estimate"]:
    """Return how long each variant takes; what no network can be made of is refused here, before anything begins."""
    from trainer.studies.estimate import estimate
    from trainer.training.cross_validation import check_recipe
    from trainer.training.fabric import open_fabric

    set_threads(plan.study.cpus)
    found = []
    for variant in plan.variants:
        first = variant.first
        if not all(run.finished for run in variant.runs.values()):
            try:
                check_recipe(first.recipe, first.init, plan.clips)
            except InputError as error:
                raise InputError(f"{plan.path}: {variant.name}: {error}") from error
        with open_fabric(_device(plan), first.recipe.precision) as fabric:
            found.append(estimate(plan, variant, fabric))
    return found


def _plan_table(plan: "Plan", estimates: list["Estimate"]) -> Grid:
    grid = Grid(title=f"{plan.study.title}: {len(plan.folds)} folds, seeds {', '.join(map(str, plan.study.seeds))}",
                box=box.SIMPLE_HEAD)  # fmt: skip
    for name in ("", "runs", "finished", "one run, about", "measured from"):
        grid.add_column(name, justify="left" if name in ("", "measured from") else "right")
    for variant, one in zip(plan.variants, estimates, strict=True):
        count = len(variant.runs)
        run_s = duration(one.run_s) if one.run_s else ""
        grid.add_row(variant.name, str(count), str(count - one.to_do), run_s, one.measured)
    return grid


def _costs(plan: "Plan") -> dict[str, "Cost"]:
    """Return what the systems cost, measured once for each recipe and kept."""
    from trainer.studies.costs import Cost, cost_of

    path = plan.out / COSTS
    try:
        known = {name: Cost(**values) for name, values in read_json(path).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        known = {}
    costs = {}
    for system in plan.systems:
        first = system.first
        key = first.name
        if key not in known:
            known[key] = cost_of(first.recipe, plan.clips.shape, plan.study.cpus)
        costs[system.name] = known[key]
    document = {name: dataclasses.asdict(cost) for name, cost in known.items()}
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
    return costs


def _grid(table: "Table") -> Grid:
    """Return a study's table for a terminal."""
    grid = Grid(title=table.title, box=box.SIMPLE_HEAD, caption=table.note)
    for place, column in enumerate(table.columns):
        grid.add_column(column.name, justify="right" if place else "left", no_wrap=place > 0)
    for row in table.rows:
        grid.add_row(*(Text(cell.text, style="bold" if cell.bold else "") for cell in row))
    return grid
