"""At the end of a run of the tests: the rights of the chart's accounts are compared with what they used.

`make test` asks for that with `--whole`, and it is done when all of the suite ran and passed: a part of it uses a part
of the rights. What was tried and the chart never grants is told, and fails, at the end of any run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_files import ROOT, template
from harness.rights import Exceptions, Granted, exceptions, granted, not_refused, too_few, too_many, used_of
from harness.rights_log import COLLECTED, Collected

EXCEPTIONS = ROOT / "tests" / "rights-exceptions.yaml"
_SAID = pytest.StashKey[list[str]]()
_NOT_ALIKE = 9  # none of pytest's: tests that fail may get a second look, this may not

# Everything that the chart can grant: on a hub, with an agent, and in a region's cluster.
HUB = {
    "agents": ["eu-bank"],
    "regions": [{"name": "us-west"}, {"name": "eu-bank", "cluster": {"inCluster": True}}],
    "organizations": [{"name": "shop", "regions": ["us-west", "eu-bank"]}],
    "clusterWide": {"createNamespaces": True},
}
REGION = {
    "mode": "region",
    "regionalNamespaces": [{"name": "shop-us-west"}],
    "webhook": {"hubKubeconfigSecret": "secretset-hub"},
    "clusterWide": {"createNamespaces": True},
}


def chart_grants() -> Granted:
    """What the chart grants, rendered now (by helm, about a second)."""
    texts = [template(values) for values in (HUB, REGION)]
    manifests: Iterable[Any] = (each for text in texts for each in yaml.load_all(text, Loader=yaml.CSafeLoader))
    return granted(filter(None, manifests))


def known() -> Exceptions:
    """The exceptions."""
    return exceptions(yaml.safe_load(EXCEPTIONS.read_text()))


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for, and nothing was left out."""
    option = config.option
    return bool(option.whole) and not any(
        (
            config.args_source is pytest.Config.ArgsSource.ARGS,
            *(option.keyword, option.deselect, option.ignore, option.ignore_glob, option.maxfail),
            *(getattr(option, name, None) for name in ("lf", "last_failed", "stepwise", "collectonly")),
            option.markexpr != "not chaos",
        )
    )


# --- hooks, which tests/conftest.py takes in


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options."""
    group = parser.getgroup("rights")
    group.addoption("--whole", action="store_true", help="All tests: hold rights that none of them used for a failure.")
    group.addoption("--rights-file", type=Path, help="Add what the accounts did to this file of JSON.")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker has ended: take in what it collected."""
    COLLECTED.add(Collected.of(getattr(node, "workeroutput", {}).get("rights", Collected().plain())))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In a worker: hand over what was collected. Else: compare."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["rights"] = COLLECTED.plain()
        return
    if file := config.option.rights_file:
        _save(file)
    whole = is_whole(config) and exitstatus == pytest.ExitCode.OK
    if not whole and not COLLECTED.refusals:
        return
    try:
        said = verdict(whole=whole)
    except (subprocess.CalledProcessError, ValueError) as error:  # an error here would hide the report of the tests
        said = [f"rights: cannot be compared: {getattr(error, 'stderr', None) or error}"]
    config.stash[_SAID] = said
    if any(line.startswith("rights: ") for line in said):
        session.exitstatus = _NOT_ALIKE


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None]:
    """Say it, after all that is told of the tests: who sees the end of the log alone sees why it failed."""
    yield
    said = config.stash.get(_SAID, [])
    if said:
        terminalreporter.section("rights of the chart's accounts")
        for line in said:
            terminalreporter.write_line(line)


def verdict(*, whole: bool, collected: Collected = COLLECTED) -> list[str]:
    """What is to be said; lines that begin with `rights: ` are failures.

    Args:
        whole: whether the whole suite ran.
        collected: what was done.
    """
    grants, expected = chart_grants(), known()
    lines = [
        f"{line} ({next(path for each, path in collected.examples.items() if line.endswith(str(each)))})"
        for line in too_few(grants, collected.refusals, expected)
    ]
    if whole:
        lines += too_many(grants, collected.uses, expected) + not_refused(collected.refusals, expected)
    problems = [f"rights: {line}" for line in lines]
    return [*problems, *_summary(grants, collected)] if whole else problems


def _summary(grants: Granted, collected: Collected) -> Sequence[str]:
    used = used_of(grants, collected.uses)
    accounts = sorted({right.account for right in grants.rights})
    return [
        f"{account}: {len([each for each in used if each.account == account])} rights used"
        f" of {len([each for each in grants.rights if each.account == account])}"
        for account in accounts
    ]


def _save(file: Path) -> None:
    if file.exists():
        COLLECTED.add(Collected.of(json.loads(file.read_text())))
    file.write_text(json.dumps(COLLECTED.plain(), indent=1))
