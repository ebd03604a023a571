"""The site builds: no link or anchor is broken, all pages are in the navigation, and nothing is fetched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs_site import ROOT

# What a browser fetches to show a page; links that somebody follows are not among it.
_FETCHED = re.compile(r"<(?:script|img|iframe|source)[^>]* src=\"([^\"]+)\"|<link[^>]* href=\"([^\"]+)\"[^>]*>")
_FETCHED_BY_STYLE = re.compile(r"(?:@import |url\()[\"']?(https?:[^\"')]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        # Of the theme about another one, which has no place in a test's output.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        fetched = [found[1] or found[2] for found in _FETCHED.finditer(page.read_text()) if "canonical" not in found[0]]
        assert fetched
        assert not [url for url in fetched if urlsplit(url).netloc], page
    for sheet in site.rglob("*.css"):
        assert not _FETCHED_BY_STYLE.findall(sheet.read_text()), sheet


def test_files_of_the_repository_are_linked_there(site: Path) -> None:
    page = (site / "regions" / "index.html").read_text()
    assert (
        'href="https://github.com/secretset-operator/secretset-operator/blob/main/examples/platform/regions.yaml"'
        in page
    )
