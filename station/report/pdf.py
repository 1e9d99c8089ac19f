"""A page as PDF, by a browser of the Chromium family that is installed here: it prints what it shows."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from station.errors import InputError

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
LIMIT_S: Final = 120.0


def find_browser() -> str:
    """Return the path of a browser that can print. Raises InputError where none is installed."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    raise InputError(
        f"--pdf: needs a browser of the Chromium family ({', '.join(BROWSERS[:3])}) and found none; install one, or "
        "open the page in any browser and print it to a file"
    )


def print_pdf(page: Path, out: Path, browser: str) -> None:
    """Print a page to a file, with no network. Raises InputError where the browser does not."""
    with tempfile.TemporaryDirectory(prefix="rostfine-pdf-") as folder:
        made = Path(folder) / "page.pdf"
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions",
            "--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", f"--print-to-pdf={made}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                [browser, *options, page.absolute().as_uri()],
                capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"--pdf: {browser} did not print the page ({error}); print it by hand") from error
        if not made.is_file():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"--pdf: {browser} did not print the page ({last[:200]}); print it by hand")
        shutil.move(made, out)
