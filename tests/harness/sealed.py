"""Sealed values of tests: sealed as users do it, with what a hub publishes; and `secretset` run against that hub."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from typer.testing import CliRunner, Result

from harness.org import Org
from harness.process import OperatorProcess
from harness.waiting import eventually
from kubelab.plane import ControlPlane
from secretset.cli.main import app
from secretset.domain.names import Kind
from secretset.domain.sealing import Place, PublicKey
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, PublicKeys

SYSTEM = "secretset-system"


def published(plane: ControlPlane) -> PublicKeys:
    """What the operator of a hub publishes; waits for it."""

    def found() -> dict[str, Any]:
        done = plane.kubectl("get", "configmap", CONFIG_MAP_NAME, "-n", SYSTEM, "-o", "json", "--ignore-not-found")
        return dict(json.loads(done.stdout)) if done.stdout else {}

    return PublicKeys.parse(eventually(found, "public keys")["data"][DOCUMENT])


@functools.cache
def _installation(plane: ControlPlane) -> str:
    return published(plane).installation


def place(org: Org, *, name: str = "app", key: str = "A", kind: Kind = Kind.SECRET_SET) -> Place:
    """A place in an organization."""
    return Place(_installation(org.plane), kind, org.name, name, key)


def sealed(org: Org, value: bytes | str, *, public: PublicKey | None = None, **where: Any) -> dict[str, Any]:
    """An entry with a value that is sealed for a place, with the hub's current key or another one."""
    public = public or published(org.plane).current
    assert public is not None
    raw = value.encode() if isinstance(value, str) else value
    return {"sealed": public.seal(place(org, **where), raw)}


def secretset(plane: ControlPlane, *args: str, typed: str | None = None) -> Result:
    """`secretset` with the administrator's kubeconfig of a hub."""
    return CliRunner().invoke(app, [*args, "--kubeconfig", str(plane.kubeconfig)], input=typed, catch_exceptions=False)


def opened(process: OperatorProcess) -> int:
    """How many values an operator has opened since it began."""
    found = re.search(r"^secretset_values_opened_total ([0-9.e+]+)$", process.fetch("/metrics")[1], re.MULTILINE)
    return int(float(found[1])) if found else 0
