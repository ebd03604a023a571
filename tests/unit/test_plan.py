"""The plan as a table: what was found in the region, and what is written, restarted and remembered for it."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from builders import KEYRING, OWNER, UID, Slot, at, delivered, deployment, wanted
from secretset.domain import names, plan
from secretset.domain.fingerprint import Keyring
from secretset.domain.names import Kind
from secretset.domain.plan import Write
from secretset.domain.reasons import Problem, Reason
from secretset.domain.restarts import RestartRule, finished
from secretset.domain.workloads import Workload

NONE, CREATE, UPDATE, REPLACE = Write
WEB = deployment("web").env_from("app").workload()
ONLY_A = deployment("only-a").env("app", "A").workload()
ONLY_B = deployment("only-b").env("app", "B").workload()
ALL = (WEB, ONLY_A, ONLY_B)


def targets(slot: Slot) -> tuple[str, ...]:
    return slot.wave.targets if slot.wave else ()


def test_a_first_delivery_creates_and_restarts_nothing() -> None:
    slot = Slot()
    found = slot.deliver(wanted(), workloads=ALL)
    assert (found.write, found.first, found.drift, found.content_changed) == (CREATE, True, False, False)
    assert slot.wave is None
    assert slot.status().revision == 1
    assert slot.status().keys == {"A": (at(0), at(0)), "B": (at(0), at(0))}


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
    assert (found.write, found.changed_keys, found.drift, found.revision) == (UPDATE, changed, False, 2)
    assert targets(slot) == who
    assert slot.secret.data == content
    assert slot.status().keys == {k: (at(0 if k in "AB" else 9), at(9 if k in changed else 0)) for k in content}


def test_a_change_restarts_nothing_for_a_policy_of_never() -> None:
    never = RestartRule(automatic=False, quiet=0.0, max_wait=0.0)
    slot = delivered(rule=never)
    assert slot.deliver(wanted({"A": b"2"}, rule=never), slot.status(), workloads=ALL).content_changed
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


def restarted(slot: Slot, *workloads: Workload) -> list[Workload]:
    """The workloads after the wave of the Secret was carried out."""
    assert slot.wave is not None
    return [deployment(w.name).env_from("app").restarted_for("app", slot.wave.id).workload() for w in workloads]


def test_an_older_copy_of_the_secret_is_drift_and_its_wave_is_over() -> None:
    slot = delivered()
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    older = slot.copy()
    slot.deliver(wanted({"A": b"3"}), slot.status(), workloads=restarted(slot, WEB))
    done, memory = restarted(slot, WEB), slot.status()
    found = slot.put_back(older).deliver(wanted({"A": b"3"}), memory, workloads=done)
    assert (found.write, found.drift, found.content_changed, found.revision) == (UPDATE, True, False, 3)
    assert slot.status() == memory
    assert finished(slot.wave, secret="app", workloads=done), "the older copy's wave restarts them once more"


def test_an_older_copy_without_a_wave_is_drift_too() -> None:
    slot = delivered({"A": b"1"})
    older = slot.copy()
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    found = slot.put_back(older).deliver(wanted({"A": b"2"}), slot.status().__class__(revision=2, fingerprint=""))
    assert found.content_changed, "a status whose fingerprint is lost cannot tell"


def test_a_secret_that_is_newer_than_the_status_is_believed() -> None:
    """The operator crashed after the write, before the status."""
    slot = delivered()
    before = slot.status()
    slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB])
    assert slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB]).write is NONE
    assert targets(slot) == ("uid-web",)


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


@pytest.mark.parametrize("remembered", [True, False])
def test_a_secret_of_the_set_s_predecessor_is_adopted_without_a_restart(remembered: bool) -> None:
    slot = delivered()
    memory = slot.status()
    found = slot.deliver(wanted(uid="new-uid"), memory if remembered else None, workloads=ALL)
    assert (found.write, found.drift, found.content_changed, found.first) == (UPDATE, False, False, False)
    assert slot.status() == memory
    assert slot.wave is None
    assert slot.deliver(wanted(uid="new-uid"), memory, workloads=ALL).write is NONE


def test_a_wave_survives_adoption_and_repair() -> None:
    slot = delivered()
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    pending = slot.wave
    slot.deliver(wanted({"A": b"2"}, uid="new-uid"), slot.status())
    slot.edit(lambda obj: obj.pop("data")).deliver(wanted({"A": b"2"}, uid="new-uid"), slot.status())
    assert slot.wave == pending
    slot.obj, memory = None, slot.status()
    slot.deliver(wanted({"A": b"2"}, uid="new-uid"), memory, remembered=pending)
    assert slot.wave == pending


def test_damaged_marks_without_a_status_count_as_a_first_delivery() -> None:
    slot = delivered().edit(lambda obj: obj["metadata"]["annotations"].pop(names.ANNOTATION_KEYS))
    found = slot.deliver(wanted(), None, workloads=ALL)
    assert (found.write, found.first, found.drift) == (UPDATE, True, False)
    assert slot.wave is None


def test_a_new_fingerprint_key_marks_the_secret_anew_and_restarts_nothing() -> None:
    """Else the old key could never be dropped: all content would look changed (design.md, "fingerprint")."""
    old = Keyring(keys={"k0": b"0" * 32}, current="k0")
    slot = Slot()
    slot.deliver(wanted(), keyring=old)
    memory = slot.status()
    found = slot.deliver(wanted(), memory, workloads=ALL, second=9)
    assert (found.write, found.drift, found.content_changed) == (UPDATE, False, False)
    assert slot.status().fingerprint.startswith("k1.")
    assert slot.status().keys == memory.keys
    without = Keyring(keys={"k1": KEYRING.keys["k1"]}, current="k1")
    assert slot.deliver(wanted(), slot.status(), keyring=without).write is NONE


def test_a_wave_has_an_id_of_its_own_even_after_all_memory_was_lost() -> None:
    """The Secret and the status are gone: the revision begins anew, but the workloads still bear their marks."""
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    done = restarted(slot, WEB)
    slot.obj = None
    slot.deliver(wanted({"A": b"3"}), None, workloads=done, second=8)
    slot.deliver(wanted({"A": b"4"}), slot.status(), workloads=done, second=9)
    assert not finished(slot.wave, secret="app", workloads=done)


def test_a_wave_has_an_id_of_its_own_if_the_status_missed_the_one_before() -> None:
    """Written and restarted, but a crash came before the status; then the Secret was deleted and the content changed."""
    slot = delivered({"A": b"1"})
    before = slot.status()
    slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB])
    done = restarted(slot, WEB)
    slot.obj = None
    slot.deliver(wanted({"A": b"3"}), before, workloads=done, second=9)
    assert not finished(slot.wave, secret="app", workloads=done)


def test_a_revision_as_high_as_somebody_can_write_it_does_not_make_every_pass_write() -> None:
    slot = delivered().edit(lambda obj: obj["metadata"]["annotations"].update({names.ANNOTATION_REVISION: "9" * 9}))
    slot.deliver(wanted({"A": b"2"}), None)
    assert slot.deliver(wanted({"A": b"2"}), slot.status()).write is NONE


def test_what_others_put_on_the_secret_stays_and_what_was_ours_goes() -> None:
    slot = delivered().edit(
        lambda obj: obj["metadata"].update(
            labels=obj["metadata"]["labels"] | {"theirs": "x"},
            annotations=obj["metadata"]["annotations"] | {"theirs": "y", names.ANNOTATION_WAVE: "{}"},
            finalizers=["theirs"],
        )
    )
    uid, version = slot.secret.uid, slot.secret.resource_version
    desired = wanted({"A": b"2"})
    marks = plan.compose(
        desired, slot.assess(desired), keyring=KEYRING, previous=None, workloads=(), timestamp=at(0), now=0.0
    )
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
