"""What the site needs beyond mkdocs: links to files of the repository, and all pages of a folder in the navigation.

mkdocs loads this by `hooks:` of mkdocs.yml. Pages link to what is not a page by its path, so that the link works on
GitHub and in an editor; the site has it lead to the repository instead.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(#[^)\s]*)?(?=\))")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
# Under mkdocs' own name, so that a strict build counts its warnings.
_log = logging.getLogger("mkdocs.hooks.docs_site")


def on_config(config: MkDocsConfig) -> None:
    """Put all pages of a folder, README.md first, where the navigation names the folder: `adr/`."""
    config.nav = _filled(config.nav, Path(config.docs_dir))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Have links to files outside docs/ lead to the repository."""
    docs = Path(config.docs_dir)
    folder = (docs / page.file.src_uri).parent

    def there(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            _log.warning("%s links to %s, which does not exist", page.file.src_uri, link[1])
        kind = "tree" if target.is_dir() else "blob"
        return f"{config.repo_url}/{kind}/{BRANCH}/{target.relative_to(ROOT)}{link[2] or ''}"

    return _LINK.sub(there, markdown)


def _filled(entry: Any, docs: Path) -> Any:
    """An entry of the navigation with folders replaced by lists of their pages."""
    match entry:
        case list():
            return [_filled(one, docs) for one in entry]
        case dict():
            return {title: _filled(one, docs) for title, one in entry.items()}
        case str() if entry.endswith("/"):
            pages = sorted((docs / entry).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
            return [{_title(page): page.relative_to(docs).as_posix()} for page in pages]
    return entry


def _title(page: Path) -> str:
    """Its first heading; of what a folder's README tells, the overview."""
    found = _TITLE.search(page.read_text())
    return "Overview" if page.name == "README.md" or found is None else found[1]
