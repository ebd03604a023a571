"""Sealing keys over their life: made, rotated, resealed, retired, missing, backed up, restored elsewhere, wrapped."""

from __future__ import annotations

import base64
import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, eventually, forms, start_hub
from harness.sealed import SYSTEM, opened, published, sealed, secretset
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes
from secretset.cli import key_changes, restore
from secretset.domain import backup
from secretset.domain.observed import decode_data
from secretset.domain.sealing import TEXT_MIN, PrivateKey, new_seed
from secretset.domain.sealing_keys import SECRET_NAME, Entry

QUICK = ("--quiet-seconds", "0.2", "--max-wait-seconds", "1", "--resync-seconds", "1")
PASSPHRASE = "a passphrase of the tests"


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A hub of these tests' own: its keys come and go."""
    return start_hub(module_control_planes, "keys")


@pytest.fixture(scope="module")
def process(plane: ControlPlane, canaries: list[str]) -> Iterator[OperatorProcess]:
    process = OperatorProcess(plane, *QUICK)
    process.start()
    yield process
    assert process.stop() == 0
    log = process.log.read_text()
    secret = [base64.b64encode(entry.secret).decode() for entry in kept(plane).values()]
    assert not [each for each in (*secret, *(form for value in canaries for form in forms(value))) if each in log]


@pytest.fixture
def team(plane: ControlPlane, process: OperatorProcess, canaries: list[str], request: pytest.FixtureRequest) -> Org:
    assert process.running
    return Org(plane, f"team{abs(hash(request.node.name)) % 10**6}", canaries).create()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What slows guessing down slows tests down; unit tests have it as it is. No webhook is here to be waited for."""
    monkeypatch.setattr(backup, "_COST", 2**10)
    monkeypatch.setattr(key_changes, "RETIRE_SECONDS", 0.1)
    monkeypatch.setattr(restore, "LIVING_SECONDS", 5.0)  # replicas renew their Leases every two


@pytest.fixture(scope="module")
def passphrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("passphrase") / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    return file


def kept(plane: ControlPlane) -> dict[str, Entry]:
    """What is in the Secret."""
    found = json.loads(plane.kubectl("get", "secret", SECRET_NAME, "-n", SYSTEM, "-o", "json").stdout)
    return {kid: Entry.parse(raw) for kid, raw in decode_data(found).items()}


def current(plane: ControlPlane) -> str:
    key = published(plane).current
    assert key is not None
    return key.kid


def listed(plane: ControlPlane) -> dict[str, tuple[str, int]]:
    done = secretset(plane, "keys", "list", "-o", "json")
    return {row["kid"]: (row["state"], row["values"]) for row in json.loads(done.stdout)}


def counted(process: OperatorProcess, kid: str) -> float | None:
    lines = process.fetch("/metrics")[1].splitlines()
    found = [line for line in lines if line.startswith(f'secretset_sealed_values{{kid="{kid}"}}')]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_a_key_is_rotated_values_resealed_and_the_old_key_retired(
    plane: ControlPlane, process: OperatorProcess, team: Org
) -> None:
    first = current(plane)
    value, other = team.canary(), team.canary()
    team.secret_set(data={"A": sealed(team, value), "B": sealed(team, other, key="B")})
    team.reaches("ready")
    team.deployment("web", env_from("app"))
    eventually(lambda: (team.status().get("workloads") or {}).get("current") == 1, "the binding")
    before, made = team.managed(), team.status()
    assert made["sealingKeys"] == [{"kid": first, "values": 2}]

    # A new key is the one to seal with, at once; older values go on opening.
    assert secretset(plane, "keys", "rotate").exit_code == 0
    second = current(plane)
    assert {first, second} == kept(plane).keys() != {first}
    assert "is in no backup that is known of" in secretset(plane, "keys", "list").stderr
    team.secret_set("new", data={"A": sealed(team, value, name="new")})
    team.reaches("ready", name="new")
    value = team.canary()
    team.secret_set(data={"A": sealed(team, value), "B": json.loads(json.dumps(spec_of(team)["B"]))})
    eventually(lambda: team.values() == {"A": value.encode(), "B": other.encode()}, "the change")
    both = [{"kid": kid, "values": 1} for kid in sorted([first, second])]
    eventually(lambda: team.status().get("sealingKeys") == both, "both keys")
    eventually(lambda: team.restarts("web") == 1, "the restart")
    eventually(lambda: (team.status().get("workloads") or {}).get("current") == 1, "the rollout")

    # While a value needs the old key it stays, and the refusal says what for; so does the newest, in any case.
    used = listed(plane)
    assert used[second][0] == "current"
    assert used[first] == ("opens", 1)
    eventually(lambda: counted(process, first) == 1, "the metric")
    refused = secretset(plane, "keys", "retire", first, "--yes")
    assert refused.exit_code == 1
    assert f"SecretSet {team.name}/app: B" in refused.stderr
    assert "the key that is sealed with" in secretset(plane, "keys", "retire", second, "--yes").stderr
    assert "there is no key" in secretset(plane, "keys", "retire", "0" * 16, "--yes").stderr

    # Resealing: another text, and nothing else.
    before, made, count = team.managed(), team.status(), team.restarts("web")
    told = secretset(plane, "reseal", "-n", team.name, "--dry-run")
    assert told.exit_code == 0
    assert told.stdout.startswith(f"1 value in 1 set would be sealed anew for {second}; 2 were already")
    assert listed(plane)[first] == ("opens", 1)
    done = secretset(plane, "reseal", "app", "-n", team.name)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"1 value in 1 set sealed anew for {second}; 1 were already")
    assert "seal them anew in their manifests too" in done.stdout
    eventually(lambda: team.status().get("sealingKeys") == [{"kid": second, "values": 2}], "the new key")
    assert team.managed() == before
    after = team.status()
    assert {k: after[k] for k in ("revision", "fingerprint", "keys")} == {
        k: made[k] for k in ("revision", "fingerprint", "keys")
    }
    assert team.restarts("web") == count
    assert spec_of(team)["B"]["sealed"].startswith(f"hpke1.{second}.")
    assert secretset(plane, "reseal", "--all").stdout.startswith(f"0 values in 0 sets sealed anew for {second}; 3")

    # Now it may go, if one confirms it.
    assert secretset(plane, "keys", "retire", first, typed="n\n").exit_code == 1
    assert first in kept(plane)
    assert secretset(plane, "keys", "retire", first, typed="y\n").exit_code == 0
    assert kept(plane).keys() == {second} == {key.kid for key in published(plane).keys}
    assert team.status("app")["phase"] == "ready"


def test_a_key_may_be_retired_although_somebody_holds_on_to_it(
    plane: ControlPlane, process: OperatorProcess, team: Org
) -> None:
    assert process.running
    plane.kubectl("delete", "secretset", "--all", "-A")
    first = current(plane)
    entry = sealed(team, team.canary())
    assert secretset(plane, "keys", "rotate").exit_code == 0
    # What is not sealed, and no value by its form, holds no key up.
    team.secret_set("forged", data={"A": {"sealed": f"hpke1.{first}.AAAA".ljust(TEXT_MIN, "!")}})
    team.reaches("failed", "UnsealFailed", name="forged")
    assert listed(plane)[first] == ("opens", 0)
    team.secret_set("copied", data={"A": entry})
    team.reaches("failed", "UnsealFailed", name="copied")
    assert secretset(plane, "keys", "retire", first, "--yes").exit_code == 1
    declined = secretset(plane, "keys", "retire", first, "--although-used", typed="n\n")
    assert (declined.exit_code, f"1 value needs it: SecretSet {team.name}/copied: A." in declined.stderr) == (1, True)
    assert secretset(plane, "keys", "retire", first, "--although-used", "--yes").exit_code == 0
    assert first not in kept(plane)


def test_a_set_whose_key_was_given_up_says_so_and_keeps_what_it_delivered(
    plane: ControlPlane, process: OperatorProcess, team: Org
) -> None:
    """It could not be repaired any more. Who starts without the key tells the same."""
    plane.kubectl("delete", "secretset", "--all", "-A")
    for name in ("app", "other"):
        old = published(plane).current
        assert old is not None
        assert secretset(plane, "keys", "rotate").exit_code == 0
        values = {"A": team.canary(), "B": team.canary()}
        entries = {"A": sealed(team, values["A"], name=name)}
        entries["B"] = sealed(team, values["B"], name=name, key="B", public=old)
        team.secret_set(name, data=entries)
        team.reaches("ready", name=name)
        before = team.managed(name)
        if name == "other":
            assert process.stop() == 0
        assert secretset(plane, "keys", "retire", old.kid, "--although-used", "--yes").exit_code == 0
        if name == "other":
            process.start()
        else:  # a key that nobody has: it looks at once, and not within a minute
            unknown = PrivateKey.from_seed(new_seed()).public
            team.secret_set("probe", data={"A": sealed(team, team.canary(), name="probe", public=unknown)})
        assert "does not hold" in team.reaches("failed", "UnsealFailed", name=name)["message"]
        # Nothing is taken away, and nothing opened or told again, though everything is compared each second.
        told, count = team.status(name), opened(process)
        time.sleep(2.5)
        assert team.managed(name) == before
        assert team.values(name) == {key: value.encode() for key, value in values.items()}
        assert (team.status(name), opened(process)) == (told, count)
    team.secret_set("other", data={"A": sealed(team, team.canary(), name="other")})
    team.reaches("ready", name="other")


def spec_of(team: Org) -> dict[str, Any]:
    data: dict[str, Any] = (team.get("secretset", "app") or {})["spec"]["data"]
    return data


def test_a_missing_key_heals_and_what_cannot_be_opened_is_told(plane: ControlPlane, team: Org) -> None:
    seed = new_seed()
    lost = PrivateKey.from_seed(seed)
    value = team.canary()
    team.secret_set(data={"A": sealed(team, value, public=lost.public)})
    assert "does not hold" in team.reaches("failed", "UnsealFailed")["message"]
    assert listed(plane)[lost.kid] == ("missing", 1)
    done = secretset(plane, "reseal", "--all")
    assert done.exit_code == 1
    assert f"SecretSet {team.name}/app: The sealed value of 'A' was sealed for a key" in done.stderr
    # It is put back, as an older one: nothing else has to be done.
    entry = Entry(created=published(plane).keys[-1].created.replace(year=2020), secret=seed).render()
    patch = {"data": {lost.kid: base64.b64encode(entry).decode()}}
    plane.kubectl("patch", "secret", SECRET_NAME, "-n", SYSTEM, "-p", json.dumps(patch))
    team.reaches("ready", "Synced")
    assert team.values() == {"A": value.encode()}
    eventually(lambda: listed(plane)[lost.kid] == ("opens", 1), "the publication")
    assert current(plane) != lost.kid


def test_nothing_is_opened_again_when_nothing_changed(plane: ControlPlane, process: OperatorProcess, team: Org) -> None:
    plane.kubectl("delete", "secretset", "--all", "-A")
    public = published(plane).current
    keys = [f"K{number}" for number in range(20)]
    team.secret_set(data={key: sealed(team, team.canary(), key=key, public=public) for key in keys})
    team.reaches("ready")
    process.restart()
    time.sleep(1.5)  # everything is compared each second
    assert opened(process) == 0
    team.secret_set("late", data={"A": sealed(team, team.canary(), name="late")})
    team.reaches("ready", name="late")
    assert opened(process) == 1


def test_another_hub_becomes_the_installation(
    plane: ControlPlane,
    process: OperatorProcess,
    team: Org,
    function_control_planes: ControlPlanes,
    canaries: list[str],
    passphrase: Path,
    tmp_path: Path,
) -> None:
    """A rebuilt hub: from the backup alone, with wrapped keys; then with the keys in a folder."""
    assert process.running
    value = team.canary()
    objects = [secret_set(team, "app", value), secret_set(team, "more", value)]
    secretset(plane, "keys", "rotate")
    objects.append(secret_set(team, "newer", value))
    file, protected = tmp_path / "hub.backup", ("--passphrase-file", str(passphrase))
    done = secretset(plane, "keys", "backup", "--output", str(file), *protected)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    saved = json.loads(secretset(plane, "keys", "list", "-o", "json").stdout)
    assert {row["backedUp"] for row in saved if row["state"] != "missing"} == {True}
    assert "no backup" not in secretset(plane, "keys", "list").stderr
    assert "say --force" in secretset(plane, "keys", "backup", "--output", str(file), *protected).stderr
    assert secretset(plane, "keys", "backup", "--output", str(file), "--force", *protected).exit_code == 0
    short = secretset(plane, "keys", "backup", "--output", str(tmp_path / "b"), typed="short\nshort\n")
    assert (short.exit_code, (tmp_path / "b").exists()) == (2, False)

    fresh = start_hub(function_control_planes, "fresh")
    wrong = secretset(fresh, "keys", "restore", str(file), typed="another passphrase\n")
    assert (wrong.exit_code, "the passphrase is another" in wrong.stderr) == (1, True)
    kek, other = tmp_path / "kek", tmp_path / "other"
    kek.write_bytes(b"k" * 32)
    other.write_bytes(b"o" * 32)
    with_kek = ("--sealing-kek-file", str(kek))
    done = secretset(fresh, "keys", "restore", str(file), *protected, *with_kek)
    assert done.exit_code == 0, done.output
    assert {entry.kek is None for entry in kept(fresh).values()} == {False}
    assert published(fresh) == published(plane)
    operator = OperatorProcess(fresh, *QUICK, *with_kek)
    operator.start()
    there = Org(fresh, team.name, canaries).create()
    there.apply(*objects)
    for name in ("app", "more", "newer"):
        there.reaches("ready", name=name)
        assert there.values(name) == {"A": value.encode()}

    # New keys are wrapped too, and nobody adds one that is not; a backup needs the key.
    assert "--sealing-kek-file" in secretset(fresh, "keys", "rotate").stderr
    rotated = secretset(fresh, "keys", "rotate", *with_kek)
    assert (rotated.exit_code, ", wrapped with local-" in rotated.stdout) == (0, True)
    assert {entry.kek is None for entry in kept(fresh).values()} == {False}
    out = ("--output", str(tmp_path / "second"))
    for flags in ((), ("--sealing-kek-file", str(other))):
        refused = secretset(fresh, "keys", "backup", *out, *protected, *flags)
        assert (refused.exit_code, "was not given" in refused.stderr) == (1, True)
    assert secretset(fresh, "keys", "backup", *out, *protected, *with_kek).exit_code == 0

    # The first hub gets what it lacks of the same installation; nothing that is there changes.
    before = kept(plane)
    done = secretset(plane, "keys", "restore", str(tmp_path / "second"), *protected)
    assert "1 added, 0 replaced" in done.stdout
    assert kept(plane).items() > before.items()

    # Another installation is not overwritten by accident.
    assert operator.stop() == 0
    fresh.kubectl("delete", "secret", "secretset-installation", SECRET_NAME, "-n", SYSTEM)
    operator.start()
    published_by_other = eventually(
        lambda: published(fresh).installation != published(plane).installation and published(fresh), "another"
    )
    refused = secretset(fresh, "keys", "restore", str(file), *protected, *with_kek)
    assert (refused.exit_code, published_by_other.installation in refused.stderr) == (1, True)
    refused = secretset(fresh, "keys", "restore", str(file), *protected, *with_kek, "--replace")
    assert (refused.exit_code, "the operator runs" in refused.stderr) == (1, True)
    assert operator.stop() == 0
    done = secretset(fresh, "keys", "restore", str(file), *protected, *with_kek, "--replace")
    assert (done.exit_code, "start the operator now" in done.stdout) == (0, True)
    assert "is not in this backup: make a new one" in done.stderr

    # Keys in a folder: the Secret is not needed, and nothing is made.
    folder = tmp_path / "keys"
    folder.mkdir()
    for kid, entry in kept(plane).items():
        (folder / kid).write_bytes(entry.render())
    fresh.kubectl("delete", "secret", SECRET_NAME, "-n", SYSTEM)
    last = OperatorProcess(fresh, *QUICK, "--sealing-keys-dir", str(folder))
    last.start()
    there.apply(secret_set(team, "last", value))
    there.reaches("ready", name="last")
    assert {key.kid for key in published(fresh).keys} == kept(plane).keys()
    assert "are looked after there" in secretset(fresh, "keys", "rotate").stderr
    third = ("--output", str(tmp_path / "third"), *protected)
    assert "there are no sealing keys in the Secret" in secretset(fresh, "keys", "backup", *third).stderr
    assert secretset(fresh, "keys", "backup", *third, "--sealing-keys-dir", str(folder)).exit_code == 0
    done = secretset(fresh, "keys", "restore", str(tmp_path / "third"), *protected, "--installation-only")
    assert (done.exit_code, "No sealing key was brought back" in done.stdout) == (0, True)
    assert fresh.kubectl("get", "secret", SECRET_NAME, "-n", SYSTEM, check=False).returncode == 1
    assert last.stop() == 0
    assert published(fresh).installation == published(plane).installation


@pytest.mark.parametrize("flag", ["--sealing-keys-dir", "--sealing-kek-file"])
def test_keys_that_cannot_be_read_end_the_operator_at_its_start(plane: ControlPlane, flag: str, tmp_path: Path) -> None:
    process = OperatorProcess(plane, flag, str(tmp_path / "none"), "--replica", "second")
    process.start(wait=False)
    assert process.ends() == 2
    assert "cannot be read" in process.log.read_text().splitlines()[-1]
    assert "Traceback" not in process.log.read_text()


def secret_set(team: Org, name: str, value: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": team.name}
    data = {"A": sealed(team, value, name=name)}
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": {"data": data}}


def test_a_key_that_has_aged_is_followed_by_another(function_control_planes: ControlPlanes) -> None:
    aged = start_hub(function_control_planes, "aged")
    operator = OperatorProcess(aged, *QUICK, "--sealing-key-days", "30")
    operator.start()
    there = ("get", "configmap", "secretset-public-keys", "-n", SYSTEM, "--ignore-not-found", "-o", "name")
    eventually(lambda: aged.kubectl(*there).stdout, "a key")
    first = current(aged)
    assert operator.stop() == 0
    old = kept(aged)[first]
    old = replace(old, created=old.created - timedelta(days=31))
    patch = json.dumps({"data": {first: base64.b64encode(old.render()).decode()}})
    aged.kubectl("patch", "secret", SECRET_NAME, "-n", SYSTEM, "--type=merge", "-p", patch)
    operator.start()
    eventually(lambda: current(aged) != first, "the next key")
    assert kept(aged).keys() == {first, current(aged)}
    assert operator.stop() == 0
