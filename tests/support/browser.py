"""Debian's Chromium, driven by Playwright; where a machine has none the tests that need it skip and say so."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
SIZES = {"small": (1280, 800), "large": (2560, 1440)}

try:
    from playwright.sync_api import BrowserContext, Page, sync_playwright
except ImportError:  # the extra test has it
    pytest.skip("the package playwright is not installed", allow_module_level=True)


def chromium() -> str:
    """Where the browser is."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no /usr/bin/chromium on this machine (apt-get install chromium)")
    return path


@contextmanager
def browser() -> Iterator[BrowserContext]:
    """A browser with a fresh profile."""
    path = chromium()
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            Path(profile) / "profile", executable_path=path, args=[*FLAGS], viewport={"width": 1280, "height": 800}
        )
        try:
            yield context
        finally:
            context.close()


@contextmanager
def page_at(
    context: BrowserContext, link: str, size: str = "small", scheme: str = "dark", source: str = "microscope"
) -> Iterator[Page]:
    """The page behind a link, once it has drawn its first picture; nothing may appear on its console."""
    said: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url.rpartition('/')[2]}"))
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.set_viewport_size({"width": SIZES[size][0], "height": SIZES[size][1]})
    page.goto(link)
    page.wait_for_selector("#picture[data-frame-seq]")
    page.locator("#source", has_text=source).wait_for()
    try:
        yield page
        assert said == [], said
    finally:
        page.close()
