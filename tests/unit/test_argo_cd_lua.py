"""deploy/argo-cd: what the health checks say of each status that the domain can write, and what the actions do."""

from __future__ import annotations

import copy
import re

import pytest

from harness.argo_lua import ArgoCD
from secretset.domain.reasons import Reason
from unit.told import SETS, Case, every, obj, ready, unready

ARGO = ArgoCD.of_file()
CASES = every()
DELETED = {"deletionTimestamp": "2026-03-01T00:00:09Z"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_health(case: Case) -> None:
    status, message = ARGO.health(case.obj)
    assert (status, message.startswith(case.says)) == (case.argo, True), message


@pytest.mark.parametrize("kind", [*SETS, "Region"])
@pytest.mark.parametrize("status", [None, {}, {"phase": "ready"}, {"observedGeneration": 3}, {"conditions": []}])
def test_a_status_that_tells_nothing_is_waited_for(kind: str, status: dict[str, object] | None) -> None:
    assert ARGO.health(obj(kind, status))[0] == "Progressing"


def test_conditions_without_a_message_or_a_reason_are_shown_too() -> None:
    found = obj("SecretSet", {"observedGeneration": 3, "conditions": [{"type": "Stalled", "status": "True"}]})
    assert ARGO.health(found) == ("Degraded", "Stalled")
    found["status"]["conditions"] = [{"type": "Ready", "status": "True", "reason": "Synced", "message": ""}]
    assert ARGO.health(found) == ("Healthy", "Synced")
    found["status"]["conditions"] = [{"type": "Stalled", "status": "False"}, {"type": "Ready", "status": "Unknown"}]
    assert ARGO.health(found)[0] == "Progressing"


@pytest.mark.parametrize("kind", SETS)
def test_which_actions_can_be_chosen(kind: str) -> None:
    assert ARGO.actions(obj(kind, ready())) == {"reconcile": True, "restart": True}
    # What was delivered before can be restarted, also while there is something wrong.
    assert ARGO.actions(obj(kind, unready(Reason.SOURCE_MISSING, previous=ready())))["restart"]
    for undelivered in (None, {}, unready(Reason.SOURCE_MISSING)):
        assert ARGO.actions(obj(kind, undelivered)) == {"reconcile": True, "restart": False}
    # A deletion that waits can be tried again at once.
    assert ARGO.actions(obj(kind, ready(), **DELETED)) == {"reconcile": True, "restart": False}


def test_a_region_is_looked_at_all_the_time_and_needs_none() -> None:
    assert ARGO.actions(obj("Region", None)) == {}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("notes", [{}, {"annotations": {"mine": "1", "secretset.dev/restart-now": "before"}}])
@pytest.mark.parametrize(
    ("action", "annotation"), [("reconcile", "secretset.dev/reconcile"), ("restart", "secretset.dev/restart-now")]
)
def test_an_action_sets_an_annotation_and_nothing_else(
    kind: str, notes: dict[str, dict[str, str]], action: str, annotation: str
) -> None:
    before = obj(kind, ready(), **copy.deepcopy(notes))
    after = ARGO.act(action, before)
    said = after["metadata"]["annotations"].pop(annotation)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said)
    before["metadata"].setdefault("annotations", {}).pop(annotation, None)
    assert after == before
