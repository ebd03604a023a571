"""Tombstones: what they remember, and what is to be done about what was left."""

from typing import Any

import pytest

from builders import SetBuilder, at, pull_secret
from secretset.domain import names, tombstone
from secretset.domain.names import Key, Kind
from secretset.domain.observed import ObservedSecret
from secretset.domain.tombstone import Tombstone
from secretset.kube import paths
from unit.left_behind import SYSTEM, live, stone
from unit.slots import INSTALLATION, OWNER, UID, delivered, wanted

PULL = Key(Kind.IMAGE_PULL_SECRET, "team", "regcred")


def judged(built: SetBuilder | None = None, secret: ObservedSecret | None = None, **more: Any) -> str:
    found = delivered().secret if secret is None else secret
    given: dict[str, Any] = {"installation": INSTALLATION, "live": built and built.record(), "home": None} | more
    return tombstone.verdict(stone(), found, **given)


# --- what is remembered


def test_a_tombstone_is_read_as_it_was_written() -> None:
    for each in (stone(), stone(owner=PULL, cluster=""), stone(why="")):
        body = each.render(SYSTEM)
        assert Tombstone.parse(body) == each
        assert (body["metadata"]["name"], body["metadata"]["namespace"]) == (each.name, SYSTEM)
        assert body["metadata"]["labels"][names.LABEL_TOMBSTONE] == "true"
        assert body["metadata"]["labels"][names.LABEL_REGION] == "us"
        assert body["immutable"] is True
        assert set(body["data"]) == {
            *("region", "cluster", "namespace", "kind", "organization", "name", "uid", "since", "why")
        }


def test_the_name_tells_secrets_and_sets_apart_and_nothing_else() -> None:
    assert stone().name == stone(since=at(9), why="x", cluster="").name
    others = [
        stone(region="eu"),
        stone(namespace="x"),
        stone(owner=PULL),
        stone(owner=OWNER._replace(name="x")),
        stone(owner=OWNER._replace(kind=Kind.IMAGE_PULL_SECRET)),
        stone(uid="new"),
    ]
    assert len({each.name for each in (stone(), *others)}) == 7
    assert paths.core("configmaps", SYSTEM, stone().name).endswith(stone().name)


@pytest.mark.parametrize(
    "change",
    [
        {"region": None},
        {"kind": "Pod"},
        {"uid": ""},
        {"namespace": "../kube-system"},
        {"name": "a/b"},
        {"organization": ""},
        {"region": "A"},
    ],
)
def test_what_is_no_tombstone_is_not_read(change: dict[str, str | None]) -> None:
    body = stone().render(SYSTEM)
    body["data"] = {name: text for name, text in (body["data"] | change).items() if text is not None}
    assert Tombstone.parse(body) is None
    assert Tombstone.parse({"metadata": {}}) is None


def test_where_the_secret_s_own_cluster_was_never_learned_any_may_be_the_one() -> None:
    assert stone().elsewhere("cluster-2")
    assert not stone().elsewhere("cluster-1")
    assert not stone(cluster="").elsewhere("cluster-2")
    assert not stone(cluster="").elsewhere("")


def test_a_cluster_that_is_not_known_may_be_another_one() -> None:
    assert stone().elsewhere("")


# --- what is done about it


def test_the_secret_of_the_set_that_left_it_is_deleted() -> None:
    assert judged() == "delete"


@pytest.mark.parametrize(
    "secret",
    [
        delivered(uid="of another set").secret,
        delivered(installation="another").secret,
        delivered(key=OWNER._replace(namespace="others")).secret,
        ObservedSecret.parse({"metadata": {"uid": "u", "resourceVersion": "1"}}),
    ],
    ids=["adopted", "installation", "owner", "no marks"],
)
def test_a_secret_of_somebody_else_is_not_touched(secret: ObservedSecret) -> None:
    assert judged(secret=secret) == "drop"


def test_what_is_not_there_needs_no_deletion() -> None:
    given: dict[str, Any] = {"installation": INSTALLATION, "live": None, "home": None}
    assert tombstone.verdict(stone(), None, **given) == "gone"
    # A set that lives there now may just be attaching its pull secret.
    given |= {"live": live().record(), "home": ("us", "team-us")}
    assert tombstone.verdict(stone(), None, **given) == "drop"


def test_what_a_set_of_that_name_and_place_has_adopted_is_dropped() -> None:
    for home in (("us", "team-us"), ("us", "elsewhere"), None):
        assert judged(live(), delivered(uid="new").secret, home=home) == "drop"


@pytest.mark.parametrize(
    ("built", "home", "verdict"),
    [
        (live(), ("us", "team-us"), "wait"),
        (live(), ("us", "elsewhere"), "delete"),
        (live(), ("eu", "team-us"), "delete"),
        (live(), None, "delete"),
        (live(deletionTimestamp=at(1)), ("us", "team-us"), "delete"),
        (live(UID, deletionTimestamp=at(1), finalizers=[names.FINALIZER]), ("us", "team-us"), "wait"),
        (live(UID, deletionTimestamp=at(1), finalizers=["example.com/hold"]), ("us", "team-us"), "delete"),
    ],
    ids=["may adopt", "other namespace", "other region", "nowhere", "is going too", "has not left", "held by others"],
)
def test_a_set_of_that_name_takes_over_what_is_its_place(
    built: SetBuilder, home: tuple[str, str] | None, verdict: str
) -> None:
    assert judged(built, home=home) == verdict


def test_no_value_and_no_fingerprint_stands_in_a_tombstone() -> None:
    slot = delivered({"A": b"cAnArY-value"})
    assert slot.secret.marks is not None
    printed = f"{stone()!r} {stone().render(SYSTEM)!r}"
    assert "cAnArY" not in printed
    assert slot.secret.marks.fingerprint not in printed
    assert wanted().inputs not in printed
    assert pull_secret().object()["spec"]["username"] not in printed
