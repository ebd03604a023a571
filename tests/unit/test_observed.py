"""What is kept of a managed Secret, and when it counts as intact."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import deployment
from secretset.domain import names
from secretset.domain.fingerprint import Keyring
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret, SecretRecord, decode_data, encode_data
from unit.slots import INSTALLATION, KEYRING, OWNER, UID, Slot, delivered, wanted

Edit = Callable[[dict[str, Any]], object]


def meta(field: str, name: str, text: str) -> Edit:
    return lambda obj: obj["metadata"][field].__setitem__(name, text)


def without(field: str, name: str) -> Edit:
    return lambda obj: obj["metadata"][field].pop(name)


BROKEN: dict[str, Edit] = {
    "a changed value": lambda obj: obj["data"].update(A=base64.b64encode(b"x").decode()),
    "an emptied value": lambda obj: obj["data"].update(A=""),
    "an added key": lambda obj: obj["data"].update(C="eA=="),
    "a removed key": lambda obj: obj["data"].pop("A"),
    "no data": lambda obj: obj.pop("data"),
    "another type": lambda obj: obj.update(type="kubernetes.io/tls"),
    "immutable": lambda obj: obj.update(immutable=True),
    "being deleted": lambda obj: obj["metadata"].update(deletionTimestamp="x"),
    "a lost label": without("labels", names.LABEL_MANAGED_BY),
    "a changed label": meta("labels", names.LABEL_SET, "other"),
    "a lost revision": without("annotations", names.ANNOTATION_REVISION),
    "a damaged revision": meta("annotations", names.ANNOTATION_REVISION, "0"),
    "lost keys": without("annotations", names.ANNOTATION_KEYS),
    "damaged keys": meta("annotations", names.ANNOTATION_KEYS, "{"),
    "a fingerprint of another key": meta("annotations", names.ANNOTATION_KEYS, '{"A":["x.a","",""],"B":["x.b","",""]}'),
}
HARMLESS: dict[str, Edit] = {
    "nothing": lambda obj: None,
    "a label of somebody else": meta("labels", "theirs", "x"),
    "an annotation of somebody else": meta("annotations", "theirs", "x"),
    "immutable: false": lambda obj: obj.update(immutable=False),
    "a finalizer": lambda obj: obj["metadata"].update(finalizers=["theirs"]),
}


@pytest.mark.parametrize("edit", BROKEN.values(), ids=BROKEN)
def test_a_secret_that_somebody_changed_is_not_intact(edit: Edit) -> None:
    record = delivered().edit(edit).record()
    assert record is not None
    assert not record.intact


@pytest.mark.parametrize("edit", HARMLESS.values(), ids=HARMLESS)
def test_a_secret_with_what_others_may_add_is_intact(edit: Edit) -> None:
    record = delivered().edit(edit).record()
    assert record is not None
    assert record.intact


def test_a_record_keeps_what_a_pass_needs() -> None:
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"2"}, inputs="inputs-2"), workloads=[deployment().env_from("app").workload()])
    record = slot.record()
    assert record is not None
    assert (record.owner, record.owner_uid, record.uid) == (OWNER, UID, slot.secret.uid)
    assert (record.revision, record.inputs, record.intact, record.deleted) == (2, "inputs-2", True, False)
    assert record.wave is not None
    assert record.wave.targets == {"uid-web": 1}


def test_an_intact_secret_verifies_under_an_old_fingerprint_key_but_not_under_a_lost_one() -> None:
    old = Keyring(keys={"k0": b"0" * 32}, current="k0")
    slot = Slot()
    slot.deliver(wanted(), keyring=old)
    both, lost = slot.record(KEYRING), slot.record(Keyring(keys={"k1": b"1" * 32}, current="k1"))
    assert both is not None
    assert lost is not None
    assert (both.intact, lost.intact) == (True, False)


def test_a_secret_of_nobody_or_of_another_installation_has_no_record() -> None:
    slot = delivered()
    assert SecretRecord.of(slot.obj or {}, installation="other", keyring=KEYRING) is None
    foreign = {"metadata": {"name": "app", "uid": "u", "resourceVersion": "1"}, "data": {"A": "eA=="}}
    assert SecretRecord.of(foreign, installation=INSTALLATION, keyring=KEYRING) is None


def test_a_pull_secret_is_intact_with_its_own_type() -> None:
    slot = delivered({names.DOCKER_KEY: b"{}"}, key=Key(Kind.IMAGE_PULL_SECRET, "team", "reg"))
    record = slot.record()
    assert record is not None
    assert record.intact
    assert slot.secret.type == "kubernetes.io/dockerconfigjson"


def test_a_secret_is_read_with_everything_that_others_put_on_it() -> None:
    secret = ObservedSecret.parse(
        {
            "metadata": {"name": "app", "uid": "u", "resourceVersion": "7", "labels": None, "finalizers": ["f"]},
            "type": "kubernetes.io/tls",
            "data": {"A": "eA==", "B": None},
            "immutable": True,
        }
    )
    assert (secret.uid, secret.resource_version, secret.type) == ("u", "7", "kubernetes.io/tls")
    assert (secret.data, secret.finalizers) == ({"A": b"x", "B": b""}, ("f",))
    assert (secret.immutable, secret.deleting, secret.marks, secret.last_manager) == (True, False, None, None)


@pytest.mark.parametrize(
    ("entries", "manager"),
    [
        ([], None),
        ([{"manager": "secretset-operator", "time": "2026-01-02"}], None),
        (
            [{"manager": "kubectl-edit", "time": "2026-01-02"}, {"manager": "helm", "time": "2026-01-01"}],
            "kubectl-edit",
        ),
        ([{"manager": "helm"}, {"manager": "secretset-operator", "time": "2026-01-02"}], "helm"),
        ([{"time": "2026-01-02"}], None),
    ],
)
def test_who_changed_it_last_besides_us(entries: list[dict[str, str]], manager: str | None) -> None:
    slot = delivered().edit(lambda obj: obj["metadata"].update(managedFields=entries))
    assert slot.secret.last_manager == manager


@given(st.dictionaries(st.text(), st.binary(max_size=64)))
def test_values_survive_the_api_byte_for_byte(content: dict[str, bytes]) -> None:
    assert decode_data({"data": encode_data(content)}) == content
