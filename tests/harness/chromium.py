"""A browser for the tests of the dashboard; run as a program, it gets one where the machine allows.

Debian's Chromium by choice: it comes with the system's updates. Elsewhere what Playwright fetches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]


def executable() -> str | None:
    """The system's browser; None: there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def usable() -> bool:
    """Whether there is one, the system's or Playwright's."""
    if executable() is not None:
        return True
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as play:
        try:
            play.chromium.launch(args=["--no-sandbox"]).close()
        except Error:
            return False
    return True


def main() -> int:
    """Get one if there is none."""
    if usable():
        return 0
    sys.stderr.write("setup: a browser for the tests of the dashboard\n")
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for todo in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run([*_APT, *todo], env=env, stdout=subprocess.DEVNULL)
    if executable() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"])
    return 0 if usable() else 1


if __name__ == "__main__":
    sys.exit(main())
