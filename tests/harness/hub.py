"""A hub as most tests want it."""

from __future__ import annotations

import json

from harness.manifests import region
from harness.process import install_hub
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes


def start_hub(control_planes: ControlPlanes, word: str) -> ControlPlane:
    """A plane with a node and an audit log, CRDs and roles, and the default region us-west in its own namespaces."""
    plane = control_planes([word], nodes=1, audit=True)[0]
    install_hub(plane)
    plane.kubectl("apply", "-f", "-", input=json.dumps(region("us-west", default=True)))
    return plane
