"""Every block of commands in a page is run by a test, or says why not; and how blocks are found."""

from __future__ import annotations

import pytest

from docs import blocks, test_docs_pages, test_docs_runbooks, test_docs_start
from docs.blocks import BadPage
from docs.scenes import GIVEN

RUN = (*test_docs_pages.PAGES, *test_docs_runbooks.PAGES, *test_docs_start.PAGES)
ALL = [block for page in blocks.pages() if page not in blocks.USAGE for block in blocks.blocks(page)]


def test_every_block_is_run_or_says_why_not() -> None:
    assert not [block.name for block in ALL if not block.reason and block.page not in RUN]
    assert {block.page for block in ALL if not block.reason} == set(RUN)


def test_what_is_given_is_known() -> None:
    given = {name.strip() for block in ALL for name in block.says.get("given", "").split(",")} - {""}
    assert given == set(GIVEN)


@pytest.mark.parametrize("block", [block for block in ALL if block.reason], ids=lambda block: block.name)
def test_what_is_not_run(block: blocks.Block) -> None:
    """Told at the end of each run, by `-ra`."""
    pytest.skip(f"{block.name}: {block.reason}")


def test_a_page() -> None:
    found = blocks.parsed(
        "page.md",
        """
Text.

```sh
one
two
```

<!-- not run: it is for
     another machine -->
```console
$ three
what it shows
> 4
$ five
```

1. In a list:

    <!-- on: other -->
    <!-- typed: y -->
    ```sh
    six
    ```

<!-- another cluster -->
```sh
seven
```

```yaml
no: command
```
""",
    )
    assert [(block.line, block.text, block.says, block.part) for block in found] == [
        (5, "one\ntwo\n", {}, 0),
        (12, "three\n4\nfive\n", {"not run": "it is for another machine"}, 0),
        (23, "six\n", {"on": "other", "typed": "y"}, 0),
        (28, "seven\n", {"another cluster": ""}, 1),
    ]
    assert found[1].reason == "it is for another machine"
    assert found[1].name == "page.md:12"


@pytest.mark.parametrize(
    "text",
    ["    kubectl get pods\n", "```\nkubectl get pods\n```\n", "```bash\nkubectl get pods\n```\n"],
    ids=["indented", "no language", "another language"],
)
def test_what_nobody_can_judge(text: str) -> None:
    with pytest.raises(BadPage, match=r"page\.md:1: "):
        blocks.parsed("page.md", text)


def test_a_comment_that_says_nothing_known() -> None:
    with pytest.raises(BadPage, match="not-run"):
        blocks.parsed("page.md", "<!-- not-run: I forgot how it is written -->\n```sh\nls\n```\n")
