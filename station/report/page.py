"""The page of a report: one file with everything in it, that opens from the disk and asks nothing of anybody.

All text is escaped by the template engine, and the page's own policy forbids scripts and every request.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from station.build_info import program
from station.notice import NOTICE
from station.output import printable
from station.report.content import Content


def render_page(content: Content) -> str:
    """Return the page, HTML."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(c=content, notice=NOTICE, program=program())


def _finalize(value: Any) -> Any:
    """Take control characters, and marks that turn text around, out of text that came from elsewhere."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
