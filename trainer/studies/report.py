"""The files of a study: one page of Markdown, every table as CSV, the figures as PNG and SVG."""

from collections.abc import Mapping
from typing import Final

from station.files import write_atomically
from station.notice import NOTICE
from trainer.studies.costs import Cost
from trainer.studies.plan import Plan
from trainer.studies.results import Results
from trainer.studies.tables import Table, all_tables, conclusions

PAGE: Final = "tables.md"


def write_study(plan: Plan, results: Results, costs: Mapping[str, Cost], figures: bool = True) -> None:
    """Write everything into the study's folder, figures if asked for."""
    tables = all_tables(results, plan.study.ours, costs)
    for table in tables:
        write_atomically(plan.out / f"{table.name}.csv", table.csv().encode())
    names: list[str] = []
    if figures:
        from trainer.studies.figures import draw_figures

        names = draw_figures(plan.out, results)
    write_atomically(plan.out / PAGE, _page(plan, results, tables, names).encode())


def _page(plan: Plan, results: Results, tables: list[Table], figures: list[str]) -> str:
    study, done = plan.study, len(results.runs)
    lines = [
        f"# {study.title}",
        "",
        f"**{NOTICE}**",
        "",
        f"{len(plan.clips)} clips of {len(set(plan.clips.sources))} sources (manifest {plan.clips.sha256[:12]}), "
        f"{results.folds} folds of whole sources, seeds {', '.join(map(str, study.seeds))}; {done} of "
        f"{len(plan.runs)} runs are finished. Every clip is scored by networks that never saw its source.",
        "",
        *(f"- {sentence}" for sentence in conclusions(results, study.ours)),
        "",
    ]
    shown = [table for table in tables if table.name != "runs"]
    for table in shown:
        lines += [table.markdown()]
        if table.name in figures:
            lines += [f"![{table.title}]({table.name}.png)", ""]
    return "\n".join(lines)
