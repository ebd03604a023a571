"""The plan as a table: what was found in the region, and what is written, restarted and remembered for it."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from builders import at, deployment
from secretset.domain import names, plan
from secretset.domain.names import Kind
from secretset.domain.plan import Write
from secretset.domain.reasons import Problem, Reason
from secretset.domain.restarts import RestartRule
from unit.slots import KEYRING, OWNER, UID, Slot, delivered, wanted

NONE, CREATE, UPDATE, REPLACE = Write
WEB = deployment("web").env_from("app").workload()
ONLY_A = deployment("only-a").env("app", "A").workload()
ONLY_B = deployment("only-b").env("app", "B").workload()
ALL = (WEB, ONLY_A, ONLY_B)
NEVER = RestartRule(automatic=False, quiet=0.0, max_wait=0.0)


def targets(slot: Slot) -> tuple[str, ...]:
    return tuple(sorted(slot.wave.targets)) if slot.wave else ()


def test_a_first_delivery_creates_and_restarts_nothing() -> None:
    slot = Slot()
    found = slot.deliver(wanted(), workloads=ALL)
    assert (found.write, found.first, found.drift, found.content_changed) == (CREATE, True, False, False)
    assert slot.wave is None
    assert slot.status().revision == 1
    assert slot.status().keys == {"A": (at(0), at(0)), "B": (at(0), at(0))}


def test_a_first_delivery_restarts_who_may_have_started_without_it() -> None:
    maybe = deployment("maybe").env_from("app", optional=True).workload()
    partly = deployment("partly").env("app", "A").env("app", "B", optional=True).workload()
    never = deployment("never").env("app", "Z", optional=True).workload()
    slot = Slot()
    slot.deliver(wanted(), workloads=[WEB, maybe, partly, never])
    assert targets(slot) == ("uid-maybe",)
    assert slot.wave is not None
    assert slot.wave.base == 0
    adopted = delivered().edit(lambda obj: obj["metadata"]["annotations"].pop(names.ANNOTATION_KEYS))
    assert adopted.deliver(wanted(), None, workloads=[maybe]).first
    assert adopted.wave is None, "it was there before"


@pytest.mark.parametrize("remembered", [True, False])
def test_a_second_pass_writes_nothing(remembered: bool) -> None:
    slot = delivered()
    found = slot.deliver(wanted(inputs="newer"), slot.status() if remembered else None, workloads=ALL)
    assert (found.write, found.drift, found.first, found.changed_keys) == (NONE, False, False, frozenset())


@pytest.mark.parametrize(
    ("content", "changed", "who"),
    [
        ({"A": b"1", "B": b"3"}, {"B"}, ("uid-only-b", "uid-web")),
        ({"A": b"1", "B": b"2", "C": b"3"}, {"C"}, ("uid-web",)),
        ({"A": b"1"}, {"B"}, ("uid-only-b", "uid-web")),
        ({"A": b"2", "B": b"1"}, {"A", "B"}, ("uid-only-a", "uid-only-b", "uid-web")),
        ({"a": b"1", "B": b"2"}, {"A", "a"}, ("uid-only-a", "uid-web")),
    ],
)
def test_a_change_of_content_restarts_who_uses_it(
    content: dict[str, bytes], changed: set[str], who: tuple[str, ...]
) -> None:
    slot = delivered()
    found = slot.deliver(wanted(content), slot.status(), workloads=ALL, second=9)
    assert (found.write, set(found.changed_keys), found.drift, found.revision) == (UPDATE, changed, False, 2)
    assert targets(slot) == who
    assert slot.secret.data == content
    assert slot.status().keys == {k: (at(0 if k in "AB" else 9), at(9 if k in changed else 0)) for k in content}


def test_a_change_restarts_nothing_for_a_policy_of_never() -> None:
    slot = delivered(rule=NEVER)
    assert slot.deliver(wanted({"A": b"2"}, rule=NEVER), slot.status(), workloads=ALL).content_changed
    assert slot.wave is None
    assert slot.status().revision == 2


def label(name: str, text: str) -> Callable[[dict[str, Any]], object]:
    return lambda obj: obj["metadata"]["labels"].__setitem__(name, text)


DRIFT: dict[str, tuple[Callable[[dict[str, Any]], object], Write]] = {
    "a changed value": (lambda obj: obj["data"].update(A=base64.b64encode(b"x").decode()), UPDATE),
    "an added key": (lambda obj: obj["data"].update(C="eA=="), UPDATE),
    "a removed key": (lambda obj: obj["data"].pop("A"), UPDATE),
    "all data gone": (lambda obj: obj.pop("data"), UPDATE),
    "a lost label": (lambda obj: obj["metadata"]["labels"].pop(names.LABEL_MANAGED_BY), UPDATE),
    "a changed label": (label(names.LABEL_ORGANIZATION, "other"), UPDATE),
    "retyped": (lambda obj: obj.update(type="kubernetes.io/tls"), REPLACE),
    "immutable": (lambda obj: obj.update(immutable=True), REPLACE),
    "a lost revision": (lambda obj: obj["metadata"]["annotations"].pop(names.ANNOTATION_REVISION), UPDATE),
    "lost keys": (lambda obj: obj["metadata"]["annotations"].pop(names.ANNOTATION_KEYS), UPDATE),
    "damaged keys": (lambda obj: obj["metadata"]["annotations"].update({names.ANNOTATION_KEYS: "{"}), UPDATE),
    "a damaged fingerprint": (
        lambda obj: obj["metadata"]["annotations"].update(
            {names.ANNOTATION_KEYS: obj["metadata"]["annotations"][names.ANNOTATION_KEYS].replace("k1.", "k1.x", 1)}
        ),
        UPDATE,
    ),
}


@pytest.mark.parametrize(("edit", "write"), DRIFT.values(), ids=DRIFT)
def test_drift_is_put_right_and_restarts_nothing(edit: Callable[[dict[str, Any]], object], write: Write) -> None:
    slot = delivered()
    memory = slot.status()
    found = slot.edit(edit).deliver(wanted(), memory, workloads=ALL, second=9)
    assert (found.write, found.drift, found.changed_keys, found.revision) == (write, True, frozenset(), 1)
    assert slot.wave is None
    record = slot.record()
    assert record is not None
    assert record.intact
    assert slot.status() == memory


def test_a_deleted_secret_is_put_back_because_the_status_remembers_it() -> None:
    memory, slot = delivered().status(), Slot()
    found = slot.deliver(wanted(), memory, workloads=ALL, second=9)
    assert (found.write, found.drift, found.first, found.content_changed) == (CREATE, True, False, False)
    assert slot.status() == memory


def test_a_deleted_secret_whose_content_changed_meanwhile_restarts_all_who_use_it() -> None:
    memory, slot = delivered().status(), Slot()
    found = slot.deliver(wanted({"A": b"9", "B": b"2"}), memory, workloads=ALL)
    assert (found.write, found.drift, found.revision) == (CREATE, False, 2)
    assert targets(slot) == ("uid-only-a", "uid-only-b", "uid-web")


@pytest.mark.parametrize("change", [{"installation": "other"}, {"key": OWNER._replace(name="other")}])
def test_a_secret_of_another_owner_or_installation_is_a_conflict(change: dict[str, Any]) -> None:
    slot = delivered(**change)
    with pytest.raises(Problem, match="'app'") as raised:
        slot.assess(wanted(), slot.status())
    assert raised.value.reason is Reason.NAME_CONFLICT


@pytest.mark.parametrize("key", [OWNER._replace(kind=Kind.IMAGE_PULL_SECRET), OWNER._replace(namespace="other")])
def test_neither_the_other_kind_s_nor_another_organization_s_secret_is_touched(key: Any) -> None:
    with pytest.raises(Problem) as raised:
        delivered(key=key).assess(wanted())
    assert raised.value.reason is Reason.NAME_CONFLICT


def test_a_secret_without_marks_is_a_conflict_even_if_it_is_being_deleted() -> None:
    slot = Slot({"metadata": {"name": "app", "uid": "u", "resourceVersion": "1", "deletionTimestamp": "x"}})
    with pytest.raises(Problem) as raised:
        slot.assess(wanted())
    assert raised.value.reason is Reason.NAME_CONFLICT
    assert not plan.owned(slot.secret, installation=wanted().installation, key=OWNER)


def test_a_secret_that_is_being_deleted_is_waited_for() -> None:
    slot = delivered().edit(lambda obj: obj["metadata"].update(deletionTimestamp="x"))
    with pytest.raises(Problem) as raised:
        slot.assess(wanted())
    assert raised.value.reason is Reason.RETRYING


def test_only_the_owner_s_own_secret_may_be_deleted_with_it() -> None:
    secret = delivered().secret
    assert plan.owned(secret, installation=wanted().installation, key=OWNER)
    assert not plan.owned(secret, installation="other", key=OWNER)
    assert not plan.owned(secret, installation=wanted().installation, key=OWNER._replace(name="other"))


def test_what_others_put_on_the_secret_stays_and_what_was_ours_goes() -> None:
    slot = delivered().edit(
        lambda obj: obj["metadata"].update(
            labels=obj["metadata"]["labels"] | {"theirs": "x"},
            annotations=obj["metadata"]["annotations"] | {"theirs": "y", names.ANNOTATION_WAVE: "{}"},
            finalizers=["theirs"],
        )
    )
    uid, version = slot.secret.uid, slot.secret.resource_version
    desired = wanted({"A": b"2"}, rule=NEVER)
    marks = plan.compose(
        desired, slot.assess(desired), keyring=KEYRING, previous=None, workloads=(), timestamp=at(0), now=0.0
    )
    assert marks.wave is None
    obj = plan.render(desired, marks, slot.secret)
    meta = obj["metadata"]
    assert (meta["uid"], meta["resourceVersion"], meta["finalizers"]) == (uid, version, ["theirs"])
    assert (meta["labels"]["theirs"], meta["annotations"]["theirs"]) == ("x", "y")
    assert names.ANNOTATION_WAVE not in meta["annotations"]
    assert meta["annotations"][names.ANNOTATION_OWNER_UID] == UID
    assert obj["data"] == {"A": "Mg=="}


def test_a_new_secret_names_no_version() -> None:
    desired = wanted()
    marks = plan.compose(
        desired, Slot().assess(desired), keyring=KEYRING, previous=None, workloads=(), timestamp=at(0), now=0.0
    )
    assert plan.render(desired, marks, None)["metadata"].keys() == {"name", "namespace", "labels", "annotations"}
