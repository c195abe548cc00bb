"""Finds a Chromium: the one of ``CHROMIUM``, of the system, or the one Playwright brought."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "install it (apt-get install chromium, or python -m playwright install chromium) or name it in CHROMIUM"


def find() -> str | None:
    """Return the path of a Chromium that can be started, or ``None``."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        path = shutil.which(name)
        # Ubuntu's package is a script that asks for a snap.
        if path and not _asks_for_snap(Path(path)):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _asks_for_snap(path: Path) -> bool:
    with path.open("rb") as file:
        return b"snap install" in file.read(4000)


if __name__ == "__main__":
    found = find()
    if found is None:
        raise SystemExit(f"no Chromium: {HOW}")
    print(found)
