"""kubeconform and kube-score on what is installed: the chart with several values, deploy/, and crds/."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

import deploy_files
import schemas
from go_tools import tool

ROOT = Path(__file__).resolve().parents[1]
WAIVERS = ROOT / "tests" / "manifest-waivers.yaml"
WELL = 10  # the best grade of kube-score
_OF_EVERYTHING: dict[str, Any] = {
    "priorityClass": {"name": "secretset"},
    "api": {
        "tls": {"secretName": "secretset-api-tls"},
        "ingress": {"host": "secrets.example.com", "tlsSecretName": "secrets-example-com"},
        "settings": {"trustedProxies": ["10.0.0.0/8"], "services": True, "dashboard": True, "sessionHours": 4},
        "sessionKeySecret": "secretset-session",
    },
    "webhook": {"certificate": {"mode": "cert-manager"}},
    "regions": [{"name": "us-west", "default": True}, {"name": "eu-bank", "cluster": {"inCluster": True}}],
    "organizations": [{"name": "shop", "create": True, "defaultRegion": "us-west"}],
    "regionalNamespaces": [{"name": "shop-us-east", "create": True}],
    "regionCredentials": [{"namespace": "capi", "name": "eu-kubeconfig"}],
    "agents": ["eu-bank"],
}
_OF_A_REGION: dict[str, Any] = {
    "mode": "region",
    "priorityClass": {"name": "secretset"},
    "api": {"ingress": {"enabled": False}},
    "agent": {"region": "eu-bank"},
    "webhook": {"hubKubeconfigSecret": "hub"},
    "regionalNamespaces": [{"name": "shop", "create": True}],
}


class Waiver(BaseModel):
    """A finding that is meant to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str = Field(description="Of kube-score: its id; kubeconform: `schema`.")
    objects: list[str] = Field(min_length=1, description="KIND/NAME, with * and ?.")
    summary: str = Field(default="*", description="What is said, with * and ?.")
    reason: str = Field(min_length=20)

    def covers(self, finding: Finding) -> bool:
        """Whether this finding is meant."""
        return (
            finding.check == self.check
            and fnmatch.fnmatchcase(finding.summary, self.summary)
            and any(fnmatch.fnmatchcase(finding.object, pattern) for pattern in self.objects)
        )


class Finding(BaseModel):
    """What a tool has against an object."""

    model_config = ConfigDict(frozen=True)

    where: str
    check: str
    object: str
    summary: str


def switched(values: Any, on: bool) -> Any:
    """Values with every switch on or off, also those that the cluster would decide."""
    if isinstance(values, dict):
        return {key: switched(value, on) for key, value in values.items()}
    return on if isinstance(values, bool) or values == "auto" else values


def over(values: Any, more: Any) -> Any:
    """Values with others over them, as helm lays them: maps are merged, anything else counts whole."""
    if not isinstance(values, dict) or not isinstance(more, dict):
        return more
    return values | {key: over(values.get(key), value) for key, value in more.items()}


def profiles() -> dict[str, dict[str, Any]]:
    """The values that the chart is checked with, by name."""
    defaults = yaml.safe_load((deploy_files.CHART / "values.yaml").read_text())
    return {
        "defaults": {},
        "everything": over(switched(defaults, True), _OF_EVERYTHING),
        "nothing": switched(defaults, False),
        "region": over(switched(defaults, True), _OF_A_REGION),
    }


def manifests() -> dict[str, str]:
    """All that is checked, by where it is from.

    Raises:
        CalledProcessError: helm refused.
    """
    with ThreadPoolExecutor() as pool:
        asked = {f"chart, {name}": pool.submit(deploy_files.template, values) for name, values in profiles().items()}
    files = sorted([*(ROOT / "deploy").glob("*.yaml"), *(ROOT / "crds").glob("*.yaml")])
    # What kustomize and the API server read from a file is no object of a cluster.
    objects = [path for path in files if path.name not in {"kustomization.yaml", "audit-policy.yaml"}]
    read = {str(path.relative_to(ROOT)): path.read_text() for path in objects}
    return {where: future.result() for where, future in asked.items()} | read


def conform(given: dict[str, str]) -> list[Finding]:
    """What the API server would refuse for its form: unknown fields, wrong types, kinds that there are not."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as ours:
        schemas.write_ours(Path(ours))
        places = {str(Path(folder) / f"{number}.yaml"): where for number, where in enumerate(given)}
        for place, where in places.items():
            Path(place).write_text(given[where])
        locations = [
            option
            for known in (ours, schemas.schemas())
            for option in ("-schema-location", f"{known}/{schemas.LOCATION}")
        ]
        said = _asked([tool("kubeconform"), "-strict", "-output", "json", *locations, folder])
    return [
        Finding(
            where=places[each["filename"]], check="schema", object=f"{each['kind']}/{each['name']}", summary=each["msg"]
        )
        for each in said["resources"] or ()
    ]


def score(where: str, text: str) -> Iterator[Finding]:
    """What kube-score would do otherwise."""
    command: list[str | Path] = [
        tool("kube-score"),
        "score",
        "-o",
        "json",
        "--enable-optional-test",
        "container-seccomp-profile",
        "-",
    ]
    for each in _asked(command, text) or ():
        name = f"{each['type_meta']['kind']}/{each['object_meta']['name']}"
        for check in each["checks"]:
            if check["skipped"] or check["grade"] >= WELL:
                continue
            for comment in check["comments"] or [{"summary": check["check"]["name"]}]:
                yield Finding(where=where, check=check["check"]["id"], object=name, summary=comment["summary"])


def findings() -> list[Finding]:
    """All that the two find; kube-score is asked of the chart alone, for deploy/ is parts of the same."""
    given = manifests()
    with ThreadPoolExecutor() as pool:
        form = pool.submit(conform, given)
        scores = [pool.submit(list, score(where, text)) for where, text in given.items() if where.startswith("chart")]
        return form.result() + [finding for each in scores for finding in each.result()]


def problems(found: list[Finding], waivers: list[Waiver]) -> list[str]:
    """Findings that no waiver covers, and waivers that cover none."""
    return [
        f"{finding.where}: {finding.object}: {finding.summary} ({finding.check})"
        for finding in found
        if not any(waiver.covers(finding) for waiver in waivers)
    ] + [
        f"{WAIVERS.relative_to(ROOT)}: nothing needs the waiver of {waiver.check} for {', '.join(waiver.objects)}"
        for waiver in waivers
        if not any(waiver.covers(finding) for finding in found)
    ]


def waived() -> list[Waiver]:
    """The list of the file.

    Raises:
        ValidationError: an entry is not as it should be.
    """
    return [Waiver.model_validate(each) for each in yaml.safe_load(WAIVERS.read_text())]


def check() -> list[str]:
    """What is wrong with what is installed."""
    return problems(findings(), waived())


def _asked(command: list[str | Path], text: str = "") -> Any:
    """What a program says in JSON; 1 is how these two end that have found something."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode not in {0, 1} or not done.stdout:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    wrong = check()
    for problem in wrong:
        print(f"check: {problem}", file=sys.stderr)
    sys.exit(bool(wrong))
