"""A hub with the operator and the API on it, as for the integration tests, and users of Pipecat's CLI there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import OperatorProcess, Org
from harness.api import NO_LIMIT, Api, served, token_of
from harness.pipecat import Pipecat, may_deploy
from integration.conftest import abroad, canaries, control_planes, hub, operator, org, temporary
from kubelab.plane import ControlPlane

__all__ = ["abroad", "canaries", "control_planes", "hub", "operator", "org", "temporary"]


@pytest.fixture(scope="session")
def api(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Iterator[Api]:
    """The API on the hub, with services; no value may stand in its log or its metrics."""
    assert operator.running
    with served(hub, canaries, "--services", *NO_LIMIT) as api:
        yield api


@pytest.fixture
def pipecat(org: Org, api: Api, tmp_path: Path) -> Pipecat:
    """Pipecat's CLI in the hands of an editor of an organization, who may deploy in its regional namespace."""
    may_deploy(org, "editor")
    return Pipecat(api.url, token_of(org, "editor", "editor"), org.name, tmp_path)


@pytest.fixture
def platform(org: Org, api: Api, tmp_path: Path) -> Iterator[Pipecat]:
    """The CLI in the hands of the platform team."""
    binding = ("clusterrolebinding", f"{org.name}-platform")
    org.plane.kubectl("create", *binding, "--clusterrole=cluster-admin", f"--serviceaccount={org.name}:platform")
    yield Pipecat(api.url, token_of(org, "platform", ""), org.name, tmp_path)
    org.plane.kubectl("delete", *binding)
