"""What `make check` holds against manifests: schemas that know the fields, and waivers that are all needed."""

from __future__ import annotations

import pytest
import yaml

import manifest_checks
from deploy_files import CHART
from manifest_checks import Finding, Waiver, conform, problems, profiles, score, switched, waived

BAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: one}
spec:
  replica: 2
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one}}
    spec: {containers: [{name: one, image: "one:latest", ports: [{containerPort: http}]}]}
---
apiVersion: secretset.dev/v1alpha1
kind: SecretSet
metadata: {name: two, namespace: shop, labels: {a: b}}
spec: {data: {}, secret: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: three}
spec: {secretName: three, dnsNames: one}
---
apiVersion: v1
kind: Gadget
metadata: {name: four}
"""
GOOD = """
apiVersion: v1
kind: Service
metadata: {name: one, annotations: {a: b}}
spec: {ports: [{port: 80, targetPort: http}, {name: b, port: 81, targetPort: 8081}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: two}
spec: {maxUnavailable: 50%}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: three}
spec: {hard: {cpu: 1, memory: 1Gi}}
"""


def test_unknown_fields_wrong_types_and_unknown_kinds_are_found() -> None:
    found = {finding.object: finding for finding in conform({"here": BAD})}
    assert found.keys() == {"Deployment/one", "SecretSet/two", "Certificate/three", "Gadget/four"}
    assert {finding.where for finding in found.values()} == {"here"}
    assert "'replica' not allowed" in found["Deployment/one"].summary
    assert "'secret' not allowed" in found["SecretSet/two"].summary
    assert "dnsNames" in found["Certificate/three"].summary


def test_what_the_api_server_takes_is_well() -> None:
    assert conform({"here": GOOD}) == []


def test_kube_score_is_asked() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  containers: [{name: one, image: 'one:latest'}]\n"
    found = {(finding.object, finding.check) for finding in score("here", pod)}
    assert {("Pod/one", "container-image-tag"), ("Pod/one", "container-resources")} <= found


def test_a_finding_without_a_waiver_and_a_waiver_without_a_finding_are_problems() -> None:
    finding = Finding(where="here", check="pod-probes", object="Deployment/one", summary="No probe")
    fitting = Waiver(check="pod-probes", objects=["Job/*", "Deployment/o*"], reason="because it is only a test")
    assert problems([finding], [fitting]) == []
    assert problems([finding], []) == ["here: Deployment/one: No probe (pod-probes)"]
    (unneeded,) = problems([], [fitting])
    assert "nothing needs the waiver of pod-probes for Job/*, Deployment/o*" in unneeded
    for other in ({"check": "pod"}, {"objects": ["Deployment/one-more"]}, {"summary": "Two*"}):
        assert len(problems([finding], [fitting.model_copy(update=other)])) == 2


def test_the_waivers_can_be_read_and_are_few() -> None:
    assert 0 < len(waived()) <= 10


def test_every_switch_of_the_chart_is_on_in_one_profile_and_off_in_another() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    made = profiles()
    assert made.keys() == {"defaults", "everything", "nothing", "region"}
    assert switched(made["everything"], True) == made["everything"]
    assert made["nothing"] == switched(defaults, False)


@pytest.mark.timeout(300)
def test_what_is_installed_is_in_order() -> None:
    assert manifest_checks.check() == []
