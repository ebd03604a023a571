"""Sealing at admission: whichever way a value takes, it arrives, and is nowhere in etcd but in the managed Secret."""

from __future__ import annotations

import functools
import json
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import Org, env_from, eventually, forms, value_from
from harness.sealing import Sealing
from harness.stored import in_etcd, revision
from harness.ways import LAST_APPLIED, REPEATED, WAYS, Changing, Way, patch_merge, server_side
from harness.ways import apply as applied
from kubelab.errors import KubectlError
from kubelab.plane import ControlPlane
from secretset.domain.names import Kind
from secretset.domain.sealing import Place, PublicKey
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, PublicKeys

DENIED = 'admission webhook "seal.secretset.dev" denied the request: '
EACH_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
# From one to the next: each of value, sealed, valueFrom and gone after value, and value after each.
STEPS = ("value", "value", "sealed", "value", "valueFrom", "value", "gone", "value")


class Wanted(NamedTuple):
    """An entry, and what the key holds when it has arrived."""

    entry: dict[str, Any] | None
    content: str | None


@pytest.fixture(scope="module")
def team(hub: ControlPlane, webhook: Sealing, canaries: list[str]) -> Iterator[Org]:
    """An organization whose sets are sealed; afterwards nothing plain may have been in etcd, at any time."""
    since = revision(hub)
    team = Org(hub, "sealteam", canaries).create()
    own: list[str] = []
    team._canaries = own
    webhook.guard(team.name)
    team.source("known")  # what the look below has to find in any case
    yield team
    canaries += own
    unwanted = [form for value in own for form in forms(value)]
    where = {
        key.split("/")[2]
        for key, content in in_etcd(hub, since)
        if (text := content.decode("latin-1")) and any(form in text for form in unwanted)
    }
    assert where == {"secrets"}
    log = webhook.process.log.read_text() + webhook.process.fetch("/metrics")[1]
    assert not [form for form in unwanted if form in log]


@pytest.fixture
def changing(team: Org, tmp_path: Path) -> Changing:
    """A set with an entry that stays, and that a Deployment uses."""
    team.source("src", a=team.canary())
    return Changing(team, f"set-{secrets.token_hex(3)}", tmp_path, {"STAYS": value_from("src", "a")})


@functools.cache
def published(plane: ControlPlane) -> tuple[str, PublicKey]:
    """The installation's id and the key to seal with."""
    found = plane.kubectl("get", "configmap", CONFIG_MAP_NAME, "-n", "secretset-system", "-o", "json").stdout
    keys = PublicKeys.parse(json.loads(found)["data"][DOCUMENT])
    assert keys.current is not None
    return keys.installation, keys.current


def wanted(on: Changing, step: str) -> Wanted:
    """Something new in one of the sources."""
    team = on.org
    content = team.canary()
    if step == "gone":
        return Wanted(None, None)
    if step == "valueFrom":
        name = f"src-{secrets.token_hex(3)}"
        team.source(name, a=content)
        return Wanted(value_from(name, "a"), content)
    if step == "sealed":
        installation, key = published(team.plane)
        place = Place(installation, Kind.SECRET_SET, team.name, on.name, "A")
        return Wanted({"sealed": key.seal(place, content.encode())}, content)
    return Wanted({"value": content}, content)


def change(on: Changing, way: Way, step: str) -> Wanted:
    """Take a step, and see it through."""
    want = wanted(on, step)
    way(on, want.entry)
    arrived(on, step, want)
    return want


def arrived(on: Changing, step: str, want: Wanted) -> None:
    stored = on.entry()
    source = "sealed" if step == "value" else step
    assert list(stored or {"gone": 0}) == [source]
    if step in {"sealed", "valueFrom"}:
        assert stored == want.entry
    content = want.content.encode() if want.content is not None else None
    eventually(lambda: on.delivered() == content, f"{step} in the managed Secret")


@EACH_WAY
def test_each_transition(changing: Changing, way: Way) -> None:
    """The set exists, without the key; then every step, the first of which adds it."""
    applied(changing, None)
    for step in STEPS:
        change(changing, way, step)


def test_one_way_after_another(changing: Changing) -> None:
    """What one way leaves behind (fields that nobody owns, an old note of the manifest) is in no other's way."""
    applied(changing, None)
    choice = random.Random(7)
    for way in choice.sample([*WAYS, *WAYS], 2 * len(WAYS)):
        change(changing, way, choice.choice(("value", "value", "sealed", "valueFrom")))


def test_the_same_again_restarts_nothing(changing: Changing) -> None:
    team, name = changing.org, changing.name
    applied(changing, None)
    team.deployment(name, env_from(name))
    want = change(changing, applied, "value")
    eventually(lambda: restarted(team, name), "the restart for the value")
    eventually(lambda: team.status(name).get("workloads", {}).get("current") == 1, "its end")
    before, revision = team.generation(name), team.status(name)["revision"]
    for way in REPEATED:
        was = changing.entry()
        way(changing, want.entry)
        assert changing.entry() != was  # sealed anew: only the private key could tell that it is the same
        team.reaches("ready", "Synced", name=name)
    assert (team.generation(name), team.status(name)["revision"]) == (before, revision)


def restarted(team: Org, name: str) -> bool:
    found = team.get("deployment", name, namespace=team.regional)
    return found is not None and "secretset.dev/restarted-for" in found["spec"]["template"]["metadata"].get(
        "annotations", {}
    )


def test_a_pull_secret_is_sealed_too(team: Org) -> None:
    def manifest(password: dict[str, Any]) -> str:
        spec = {"host": "ghcr.io", "username": "bot", "password": password}
        meta = {"name": "pull", "namespace": team.name}
        return json.dumps(
            {"apiVersion": "secretset.dev/v1alpha1", "kind": "ImagePullSecret", "metadata": meta, "spec": spec}
        )

    for flags in ((), ("--server-side", "--force-conflicts")):
        for _ in range(2):
            content = team.canary()
            team.kubectl("apply", *flags, "-f", "-", input=manifest({"value": content}))
            stored = team.get("imagepullsecret", "pull")
            assert stored is not None
            assert list(stored["spec"]["password"]) == ["sealed"]
            eventually(lambda: content.encode() in b"".join(team.values("pull").values()), "the password")  # noqa: B023
        team.source("token", a=(content := team.canary()))
        team.kubectl("apply", *flags, "-f", "-", input=manifest(value_from("token", "a")))
        eventually(lambda: content.encode() in b"".join(team.values("pull").values()), "the password")  # noqa: B023


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "number": ({"A": {"value": 815}}, "spec.data.A.value: must be text: put a number, true or false in quotes"),
    "long": ({"A": {"value": "CANARY" * 3000}}, "spec.data.A.value: is longer than 16,384 bytes"),
    "two": ({"A": {"value": "CANARY", **value_from("src", "a")}}, "spec.data.A: sets valueFrom and value at once"),
    "misplaced": ({"A": {"value": "x"}, "B": {"sealed": "CANARY"}}, "spec.data.B.sealed: is not what"),
    "reserved": ({"LIVEKIT_URL": {"value": "CANARY"}}, "Reserved by the platform"),
    "key": ({"CANARY CANARY": {"value": "CANARY"}}, "A key in spec.data breaks the rule"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sealed_is_refused_without_an_echo(team: Org, case: str) -> None:
    data, says = REFUSED[case]
    body = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"name": "refused"},
        "spec": {"data": json.loads(json.dumps(data).replace("CANARY", canary := team.canary()))},
    }
    for flags in (("create",), ("apply", "--server-side")):
        done = team.kubectl(*flags, "-f", "-", input=json.dumps(body), check=False)
        assert done.returncode == 1
        assert f"{DENIED}{says}" in done.stderr
        assert canary not in done.stderr
    assert team.get("secretset", "refused") is None


@pytest.mark.parametrize(
    "spec", ["CANARY", ["CANARY"], {"data": "CANARY"}, {"data": ["CANARY"]}, {"data": {"A": "CANARY"}}]
)
def test_what_has_another_form_is_left_to_the_schema(team: Org, spec: Any) -> None:
    """The condition, too, copes with it: what fails in one would be refused for that."""
    for kind in ("SecretSet", "ImagePullSecret"):
        body = {"apiVersion": "secretset.dev/v1alpha1", "kind": kind, "metadata": {"name": "odd"}, "spec": spec}
        # Not one of the session's: text in place of a map may be in the API server's log (docs/sealing.md).
        text = json.dumps(body).replace("CANARY", canary := secrets.token_hex(12))
        done = team.kubectl("create", "--validate=false", "-f", "-", input=text, check=False)
        assert f'The {kind} "odd" is invalid' in done.stderr
        assert canary not in done.stderr


def test_a_generated_name_is_refused(team: Org) -> None:
    body = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "SecretSet",
        "metadata": {"generateName": "app-"},
        "spec": {"data": {"A": {"value": team.canary()}}},
    }
    done = team.kubectl("create", "-f", "-", input=json.dumps(body), check=False)
    assert f"{DENIED}metadata.generateName: " in done.stderr


def test_a_manifest_that_grows_too_long_to_be_noted_goes_server_side(team: Org) -> None:
    content = team.canary()
    data = {f"KEY_{number}": {"value": content} for number in range(180)}
    spec = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": {"name": "many"}}
    text = json.dumps({**spec, "spec": {"data": data}})
    done = team.kubectl("apply", "-f", "-", input=text, check=False)
    assert "use 'kubectl apply --server-side', or split the set" in done.stderr
    team.kubectl("apply", "--server-side", "-f", "-", input=text)
    eventually(lambda: len(team.values("many")) == len(data), "all values")


def test_a_condition_can_afford_the_longest_notes(team: Org, webhook: Sealing) -> None:
    """What it may cost is limited; beyond that the object would be refused. Of these, all is known."""
    before = webhook.outcomes()
    sealed = {"sealed": f"hpke1.{0:016x}.{'x' * 1856}"}
    entry = value_from("n" * 40, "k" * 40)
    keys = [f"KEY_{number}_{'X' * 50}" for number in range(256)]
    long = value_from("n" * 250, "k" * 250)
    for name, first, second, split, count, length in (
        ("sealed", sealed, sealed, 0, 133, 259_000),
        ("references", entry, entry, 0, 256, 49_000),
        ("both", long, sealed, 54, 160, 239_000),
    ):
        data = {key: first if number < split else second for number, key in enumerate(keys[:count])}
        for label in ("a", "b"):
            note = _set(name, data, label)
            assert length < len(note) < length + 2_000
            team.kubectl("apply", "-f", "-", input=note)
    assert webhook.outcomes() == before
    # Beyond, it is asked.
    team.kubectl("apply", "-f", "-", input=_set("beyond", dict.fromkeys(keys, long), "a"))
    assert webhook.outcomes()["unchanged"] == before.get("unchanged", 0) + 1


def _set(name: str, data: dict[str, Any], label: str) -> str:
    """A manifest, as long as kubectl notes it."""
    meta = {"name": name, "labels": {"note": label}}
    body = {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": {"data": data}}
    return json.dumps(body, separators=(",", ":"))


def test_it_is_not_asked_about_fields_that_hold_no_values(team: Org, webhook: Sealing) -> None:
    team.source("fields", a=team.canary())
    common = {
        "description": 'of "all" {fields}, \\ and <more>',
        "metadata": {"owner": "value", "sealed": '{"value":"x"}'},
        "restart": {"policy": "Auto", "quietSeconds": 1, "window": {"schedule": "@daily", "duration": "4h"}},
        "deletionPolicy": "Delete",
        "region": "us-west",
    }
    pull = {"host": "ghcr.io", "username": "bot", "serviceAccounts": ["default"], "password": value_from("fields", "a")}
    before = webhook.outcomes()
    for kind, spec in (("SecretSet", {"data": {"host": value_from("fields", "a")}}), ("ImagePullSecret", pull)):
        meta = {"name": f"fields-{kind.lower()}", "labels": {"a": "b"}, "annotations": {"json": '{"a":{"b":[1]}}'}}
        body = {"apiVersion": "secretset.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": {**common, **spec}}
        for note in ("1", "2"):
            meta["labels"] = {"note": note}
            team.kubectl("apply", "-f", "-", input=json.dumps(body))
    assert webhook.outcomes() == before


MISTAKEN: dict[str, dict[str, Any]] = {
    "text": {"spec": {"data": {"A": "CANARY"}}},
    "named like a field": {"spec": {"data": {"host": "CANARY"}}},
    "number": {"spec": {"data": {"A": {"value": 815}, "B": "CANARY"}}},
    "misspelled": {"spec": {"data": {"A": {"valeu": "CANARY"}}}},
    "beside": {"spec": {"data": {"A": {**value_from("src", "a"), "valeu": "CANARY"}}}},
    "too deep": {"spec": {"data": {"A": {"value": {"valueFrom": {"x": "CANARY"}}}}}},
    "reference": {"spec": {"data": {"A": {"valueFrom": "CANARY"}}}},
    "prefixed": {"spec": {"data": {"A": {"sealed": "hpke1.CANARY"}}}},
    "shorter than any sealed value": {"spec": {"data": {"A": {"sealed": "hpke1.0123456789abcdef.CANARY"}}}},
    "password": {"spec": {"password": "CANARY"}},
    "data": {"spec": {"data": "CANARY"}},
    "spec": {"spec": "CANARY"},
    "stringData": {"spec": {"stringData": {"A": "CANARY"}}},
    "of a Secret": {"stringData": {"A": "CANARY"}},
    "too high": {"data": {"A": {"value": "CANARY"}}, "spec": {}},
    "under metadata": {"metadata": {"stringData": {"A": "CANARY"}}},
    "beside the name": {"metadata": {"API_KEY": "CANARY"}},
    "under restart": {"spec": {"restart": {"K": {"value": "CANARY"}}}},
    "the window": {"spec": {"restart": {"window": {"K": "CANARY"}}}},
    "of the set": {"spec": {"metadata": {"data": {"A": "CANARY"}}}},
    "a map for text": {"spec": {"region": {"A": "CANARY"}}},
    "a map for a list": {"spec": {"serviceAccounts": {"A": "CANARY"}}},
}


def test_a_note_of_a_mistaken_manifest_is_cleaned(team: Org) -> None:
    """`kubectl apply set-last-applied` writes whatever it is given, and nothing else looks at it."""
    team.source("src", a=team.canary())
    body = {"apiVersion": "secretset.dev/v1alpha1", "metadata": {"name": "noted"}}
    spec = {"host": "ghcr.io", "username": "bot", "password": value_from("src", "a")}
    for kind, sound in (("SecretSet", {"data": {"A": value_from("src", "a")}}), ("ImagePullSecret", spec)):
        meta = {"name": f"noted-{kind.lower()}"}
        body |= {"kind": kind, "metadata": meta}
        team.kubectl("apply", "-f", "-", input=json.dumps({**body, "spec": sound}))
        for case, mistake in MISTAKEN.items():
            mistaken = {**body, **mistake, "metadata": {**meta, **mistake.get("metadata", {})}}
            text = json.dumps(mistaken).replace("CANARY", canary := team.canary())
            team.kubectl("apply", "set-last-applied", "-f", "-", input=text)
            stored = team.get(kind.lower(), meta["name"])
            assert stored is not None
            assert canary not in json.dumps(stored), case


def test_it_is_asked_only_about_plain_text_and_fails_closed_there(team: Org, webhook: Sealing, tmp_path: Path) -> None:
    team.source("src", a=team.canary())
    on = Changing(team, "closed", tmp_path, {"value": value_from("src", "a"), "sealed": value_from("src", "a")})
    applied(on, {"value": team.canary()})
    sealed = on.entry()
    webhook.process.kill()
    try:
        # Keys may be called as the fields are; what is not plain passes, and the operator goes on.
        for entry in (sealed, value_from("src", "a"), None):
            applied(on, entry)
            server_side(on, entry)
        team.kubectl("annotate", "secretset", "closed", "note=1")
        team.poke("closed")
        for way in (applied, server_side, patch_merge):
            with pytest.raises(KubectlError, match=r"failed calling webhook \"seal\.secretset\.dev\""):
                way(on, {"value": team.canary()})
        note = on.manifest({"value": team.canary()})
        done = team.kubectl("apply", "set-last-applied", "-f", "-", input=note, check=False)
        assert "failed calling webhook" in done.stderr
        assert '"value":"' not in on.stored()["metadata"]["annotations"][LAST_APPLIED]
        team.kubectl("delete", "secretset", "closed", "--timeout=20s")  # the finalizer goes without it too
    finally:
        webhook.process.start()
        webhook.register()
    eventually(lambda: _works(on), "sealing again")


def _works(on: Changing) -> bool:
    probe = on.manifest({"value": "probe"})
    return on.org.kubectl("apply", "--dry-run=server", "-f", "-", input=probe, check=False).returncode == 0


def test_the_webhook_cannot_read_private_keys_nor_make_secrets(webhook: Sealing) -> None:
    account = webhook.hub.service_account_kubeconfig("secretset-system", "secretset-webhook")

    def may(*question: str) -> bool:
        done = webhook.hub.kubectl(
            "auth", "can-i", *question, "-n", "secretset-system", kubeconfig=account, check=False
        )
        return done.stdout.strip() == "yes"

    assert may("get", f"configmap/{CONFIG_MAP_NAME}")
    assert may("update", "secret/secretset-webhook-tls")
    assert not may("get", "secret/secretset-sealing-keys")
    assert not may("list", "secrets")
    assert not may("create", "secrets")
    assert not may("patch", "mutatingwebhookconfiguration/other")
