"""Fixtures of the integration tests: a hub with the operator on it, a second cluster, and organizations."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import ROOT, OperatorProcess, Org, guarded, install_region_cluster, start_hub
from harness.alone import Alone, alone
from harness.api import NO_LIMIT, Api, served
from harness.away import Away
from harness.linked import Linked, linked
from harness.sealing import Sealing, sealing
from harness.traces import Traces, looked_through, of_folder, of_processes
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def canaries() -> list[str]:
    """Every value that a test of this session put into a Secret."""
    return []


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the temporary files of this process, and of those that it starts, are from now on."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="session")
def control_planes(control_planes: ControlPlanes, canaries: list[str]) -> Iterator[ControlPlanes]:
    """As kubelab's; what the planes stored and logged is looked through."""
    with looked_through(control_planes, canaries) as start:
        yield start


@pytest.fixture(scope="module")
def module_control_planes(module_control_planes: ControlPlanes, canaries: list[str]) -> Iterator[ControlPlanes]:
    """As kubelab's; what the planes stored and logged is looked through."""
    with looked_through(module_control_planes, canaries) as start:
        yield start


@pytest.fixture
def function_control_planes(function_control_planes: ControlPlanes, canaries: list[str]) -> Iterator[ControlPlanes]:
    """As kubelab's; what the planes stored and logged is looked through."""
    with looked_through(function_control_planes, canaries) as start:
        yield start


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
def operator(hub: ControlPlane, canaries: list[str], temporary: Path) -> Iterator[OperatorProcess]:
    """The operator on the hub; no value may stand in its metrics or among its arguments, nor in temporary files."""
    # Tests delete more sets in a minute than people do.
    process = OperatorProcess(hub, "--quiet-seconds", "0.4", "--max-wait-seconds", "2", "--deletion-burst", "10000")
    process.start()
    yield process
    traces = Traces(canaries)
    traces.assert_nowhere([("metrics", process.fetch("/metrics")[1].encode()), *of_processes()])
    assert process.stop() == 0
    traces.assert_nowhere(of_folder(temporary))


@pytest.fixture
def org(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Org:
    """An organization of the test's own."""
    assert operator.running
    return Org(hub, f"org{next(_numbers)}", canaries).create()


@pytest.fixture
def regions_hidden(hub: ControlPlane) -> Iterator[None]:
    """Regions are for the platform team alone, whatever modules before have applied."""
    file = str(ROOT / "deploy/regions-viewer.yaml")
    shown = hub.kubectl("get", "clusterroles", "secretset-regions-viewer", "--ignore-not-found", "-o", "name").stdout
    hub.kubectl("delete", "--ignore-not-found", "-f", file)
    yield
    if shown:
        hub.kubectl("apply", "-f", file)


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
def far(module_control_planes: ControlPlanes) -> ControlPlane:
    """A cluster that may be hurt."""
    (plane,) = module_control_planes(["far"], nodes=1, audit=True)
    install_region_cluster(plane)
    return plane


@pytest.fixture
def hurt(org: Org, far: ControlPlane) -> Iterator[Linked]:
    """The same on a cluster that may be hurt."""
    with linked(org, far) as there:
        yield there
        for name in ("app", "quiet"):  # its plane ends before the operator does
            there.kubectl("delete", "secretset", name, "--timeout=20s")


@pytest.fixture(scope="module")
def lone(module_control_planes: ControlPlanes, canaries: list[str]) -> Iterator[Alone]:
    """A hub of the module's own, whose operator can be ended at any of its requests."""
    plane = start_hub(module_control_planes, "alone")
    with alone(plane, canaries) as lone:
        yield lone


@pytest.fixture(scope="module")
def webhook(
    hub: ControlPlane, operator: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sealing]:
    """The webhook on the hub, asked by the API server about what the tests label."""
    assert operator.running
    with sealing(hub, tmp_path_factory.mktemp("seal")) as webhook:
        yield webhook


@pytest.fixture(scope="module")
def api(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Iterator[Api]:
    """The REST API of the hub."""
    assert operator.running
    with served(hub, canaries, *NO_LIMIT) as api:
        yield api
