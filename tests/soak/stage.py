"""Where the soak takes place: a hub and another cluster behind a link, organizations, regions, and the operator."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness import (
    OPERATOR_ACCOUNT,
    OperatorProcess,
    Org,
    Proxy,
    install_hub,
    install_region_cluster,
    kubeconfig_ref,
    kubeconfig_secret,
    namespace,
    region,
    regional_role,
)
from kubelab.plane import ControlPlane
from soak.inside import CODE

NEAR, FAR = "us-west", "far"  # the region on the hub, in namespaces of its own, and that on the other cluster
ORGANIZATIONS = ("blue", "red")
# More passes than in half an hour of anybody's day; what is deleted here is no accident.
FLAGS = ("--quiet-seconds", "0.5", "--max-wait-seconds", "2", "--deletion-burst", "1000000", "--resync-seconds", "60")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All that there is."""

    hub: ControlPlane
    far: ControlPlane
    link: Proxy
    operator: OperatorProcess
    organizations: tuple[Org, ...]

    def use_new_credentials(self) -> None:
        """Have the region on the other cluster come with another token than before."""
        config = self.link.kubeconfig(self.far.service_account_kubeconfig(*OPERATOR_ACCOUNT))
        kubeconfig_secret(self.organizations[0], FAR, config.read_text())

    def make_region(self) -> None:
        """Create the Region on the other cluster."""
        self.organizations[0].apply(region(FAR, cluster=kubeconfig_ref(FAR)))

    def drop_region(self) -> None:
        """Delete it; its sets wait."""
        self.hub.kubectl("delete", "region", FAR, "--wait=false")


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """Everything up and ready; all of it ends with this process, however that ends."""
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(ControlPlane("soak-hub", nodes=1))
        far = stack.enter_context(ControlPlane("soak-far", nodes=1))
        link = stack.enter_context(Proxy.to(far))
        install_hub(hub)
        install_region_cluster(far)
        organizations = tuple(Org(hub, name, []).create() for name in ORGANIZATIONS)
        for org in organizations:
            org.apply(region(NEAR, default=True))
            for each in (namespace(org.name), *regional_role(org.name)):
                far.kubectl("apply", "-f", "-", input=json.dumps(each))
        operator = OperatorProcess(hub, *FLAGS, code=CODE)
        stage = Stage(hub=hub, far=far, link=link, operator=operator, organizations=organizations)
        stage.use_new_credentials()
        stage.make_region()
        operator.start()
        stack.callback(_end, operator)
        yield stage


def _end(operator: OperatorProcess) -> None:
    if operator.running:
        operator.stop()
