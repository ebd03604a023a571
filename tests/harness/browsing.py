"""A real browser on the dashboard: what it shows, what it sends, what it keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from harness import chromium
from harness.script import SOURCES

_AXE = SOURCES / "node_modules/axe-core/axe.min.js"
# Of what a page comes to show by itself; two test runs may share two cores.
expect.set_options(timeout=20_000)
_STORED = """async () => JSON.stringify({
  local: {...localStorage}, session: {...sessionStorage}, databases: await indexedDB.databases(),
  caches: await caches.keys(), workers: await navigator.serviceWorker.getRegistrations(), cookie: document.cookie,
  history: history.state, window: window.name,
})"""


@dataclass(repr=False)
class Tab:
    """One page of somebody, and what it did that it should not.

    Attributes:
        page: Playwright's.
        sent: addresses and bodies of all requests.
        wrong: dialogs, errors of scripts, and what the Content-Security-Policy forbade.
    """

    url: str
    page: Page
    sent: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._hear)
        self.page.on("request", self._note)

    def go(self, path: str) -> Page:
        """Open a page."""
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, token: str) -> None:
        """As a person does."""
        self.go("/sign-in")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.url + "/")

    def complaints(self) -> list[str]:
        """What axe finds that is serious, or worse, on the page as it is now."""
        self.page.evaluate(_AXE.read_text())
        found = self.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{each['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wide

    def stored(self) -> dict[str, Any]:
        """What the browser keeps of the page within reach of scripts, by kind."""
        found: dict[str, Any] = json.loads(self.page.evaluate(_STORED))
        return {kind: each for kind, each in found.items() if each}

    def _dismiss(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.wrong.append(f"console: {said.text}")

    def _note(self, request: Request) -> None:
        self.sent.append(f"{request.method} {request.url} {request.post_data or ''}")


class Chromium:
    """A browser with a profile of its own.

    Args:
        profile: folder of what it writes.
    """

    def __init__(self, launch: Any, profile: Path) -> None:
        self._launch = launch
        self.profile = profile

    @contextmanager
    def tab(self, url: str, **options: Any) -> Iterator[Tab]:
        """A page, with nobody signed in at first; the profile is the same each time."""
        context: BrowserContext = self._launch(self.profile, **options)
        try:
            yield Tab(url=url, page=context.pages[0] if context.pages else context.new_page())
        finally:
            context.close()

    def written(self) -> bytes:
        """Everything that is in the profile on disk."""
        return b"".join(path.read_bytes() for path in self.profile.rglob("*") if path.is_file())


@contextmanager
def browser(profile: Path) -> Iterator[Chromium]:
    """Start what is needed for a browser; it starts with its first page, and ends with it."""
    with sync_playwright() as play:

        def launch(folder: Path, **options: Any) -> BrowserContext:
            return play.chromium.launch_persistent_context(
                folder,
                executable_path=chromium.executable(),
                headless=True,
                # A container's root has no sandbox for it, and /dev/shm may be small.
                args=["--no-sandbox", "--disable-dev-shm-usage"],
                **options,
            )

        yield Chromium(launch, profile)
