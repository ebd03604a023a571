"""Fixtures of the integration tests: a hub with the operator on it, a second cluster, and organizations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from harness import OperatorProcess, Org, eventually, forms, guarded, install_region_cluster, start_hub
from harness.away import Away
from harness.linked import Linked, linked
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def canaries() -> list[str]:
    """Every value that a test of this session put into a Secret."""
    return []


@pytest.fixture(scope="session")
def hub(control_planes: ControlPlanes) -> ControlPlane:
    """A hub with the default region us-west in its own namespaces."""
    return start_hub(control_planes, "hub")


@pytest.fixture(scope="session")
def abroad(control_planes: ControlPlanes) -> ControlPlane:
    """Another cluster, ready to be made a region."""
    plane = control_planes(["abroad"], nodes=1, audit=True)[0]
    install_region_cluster(plane)
    return plane


@pytest.fixture(scope="session")
def operator(hub: ControlPlane, canaries: list[str]) -> Iterator[OperatorProcess]:
    """The operator on the hub; afterwards no value may stand anywhere but in Secrets."""
    # Tests delete more sets in a minute than people do.
    process = OperatorProcess(hub, "--quiet-seconds", "0.4", "--max-wait-seconds", "2", "--deletion-burst", "10000")
    process.start()
    yield process
    metrics = process.fetch("/metrics")[1]
    assert process.stop() == 0
    _assert_nowhere(hub, canaries, {"metrics": metrics, "log": process.log.read_text()})


@pytest.fixture
def org(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Org:
    """An organization of the test's own."""
    assert operator.running
    return Org(hub, f"org{next(_numbers)}", canaries).create()


@pytest.fixture
def new_org(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Callable[[str], Org]:
    """Organizations with names of the test's choice; no namespaces are made yet."""
    assert operator.running
    return lambda name: Org(hub, name, canaries)


@pytest.fixture
def away(org: Org, abroad: ControlPlane) -> Iterator[Away]:
    """An organization with a source, whose region is another cluster."""
    org.source()
    with guarded(Away(org, abroad)) as away:
        assert isinstance(away, Away)
        yield away


@pytest.fixture
def there(org: Org, abroad: ControlPlane) -> Iterator[Linked]:
    """A region behind a link that can be broken."""
    with linked(org, abroad) as there:
        yield there


@pytest.fixture(scope="module")
def far(control_planes: ControlPlanes) -> ControlPlane:
    """A cluster that may be hurt."""
    (plane,) = control_planes(["far"], nodes=1, audit=True)
    install_region_cluster(plane)
    return plane


@pytest.fixture
def hurt(org: Org, far: ControlPlane) -> Iterator[Linked]:
    """The same on a cluster that may be hurt."""
    with linked(org, far) as there:
        yield there
        for name in ("app", "quiet"):  # its plane ends before the operator does
            there.kubectl("delete", "secretset", name, "--timeout=20s")


def _assert_nowhere(plane: ControlPlane, canaries: list[str], places: dict[str, str]) -> None:
    """Look for every value, in each form it may have, in everything that is not a Secret's data."""
    kinds = "secretsets,imagepullsecrets,regions,events,deployments,serviceaccounts,configmaps"
    places["objects"] = plane.kubectl("get", kinds, "-A", "-o", "json").stdout
    secrets = json.loads(plane.kubectl("get", "secrets", "-A", "-o", "json").stdout)["items"]
    places["marks"] = json.dumps(
        [
            # What kubectl itself noted of a source Secret that a test applied is not ours.
            {k: v for k, v in secret["metadata"].get("annotations", {}).items() if not k.startswith("kubectl.")}
            for secret in secrets
        ]
    )
    assert eventually(lambda: canaries, "a canary")
    found = [
        (where, value[:10])
        for where, text in places.items()
        for value in canaries
        for form in forms(value)
        if form in text
    ]
    assert not found
