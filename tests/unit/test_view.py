"""What is seen of a region: order, successors under the same name, and what is remembered of the lost."""

from typing import Any

import pytest

from builders import deployment
from secretset.controller.installation import Installation
from secretset.controller.view import RegionView
from secretset.domain.names import Key
from secretset.domain.rollouts import Rollout
from secretset.domain.waves import Wave
from secretset.domain.workloads import DEPLOYMENT
from unit.slots import INSTALLATION, KEYRING, OWNER, delivered, wanted

PLACE = ("team-us", "app")


class Seen:
    """A view, the keys that it asked to be looked at, and the rollouts that it told of."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        self.rollouts: list[tuple[str, Rollout | None]] = []
        self.view = RegionView(
            installation=Installation(id=INSTALLATION, keyring=KEYRING),
            enqueue=self.asked.append,
            placed={},
            on_rollout=lambda uid, rollout: self.rollouts.append((uid, rollout)),
        )


def stored(version: int, **changes: Any) -> dict[str, Any]:
    """The managed Secret as an API server stores it."""
    slot = delivered({"A": b"1"})
    for name, value in changes.items():
        slot.deliver(wanted({name: value}), slot.status())
    obj = slot.copy()
    obj["metadata"] |= {"uid": "secret-1", "resourceVersion": str(version), "namespace": PLACE[0], "name": PLACE[1]}
    return obj


def workload(uid: str, version: int) -> dict[str, Any]:
    obj = deployment("web").env_from("app").object()
    obj["metadata"] |= {"uid": uid, "resourceVersion": str(version), "namespace": PLACE[0]}
    return obj


def test_an_event_from_before_our_own_write_changes_nothing() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    for version in (8, 9):
        seen.view.see_secret(stored(version))
    assert seen.asked == []
    seen.view.see_secret(stored(10))
    assert seen.asked == [OWNER]
    assert seen.view.secrets[PLACE].resource_version == "10"


def test_an_event_from_after_our_own_write_may_come_before_its_answer() -> None:
    seen = Seen()
    seen.view.see_secret(stored(10, A=b"2"))
    seen.view.remember_secret(stored(9))
    assert seen.view.secrets[PLACE].resource_version == "10"


def test_a_change_from_after_our_own_write_does_not_take_its_wave_away() -> None:
    ours = stored(9, A=b"2")
    theirs = stored(10, A=b"2")
    wave = [name for name in theirs["metadata"]["annotations"] if name.endswith("/wave")]
    for name in wave:
        del theirs["metadata"]["annotations"][name]
    seen = Seen()
    seen.view.see_secret(stored(8))
    seen.view.see_secret(theirs)
    seen.view.remember_secret(ours)
    record = seen.view.secrets[PLACE]
    assert (len(wave), record.resource_version, record.wave is not None) == (1, "10", True)


def test_an_end_from_after_our_own_write_may_come_before_its_answer() -> None:
    seen = Seen()
    for tell in (seen.view.see_secret, lambda obj: seen.view.miss_secret(*PLACE, obj)):
        tell(stored(9 + len(seen.asked)))
    seen.view.remember_secret(stored(9))
    assert seen.view.secrets[PLACE].deleted


def test_a_read_tells_what_the_watch_has_not_told_yet_and_asks_for_nothing() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.see_secret(stored(10, A=b"2"), look=False)
    seen.view.see_secret(stored(10, A=b"2"))
    assert (seen.view.secrets[PLACE].resource_version, seen.asked) == ("10", [])


def test_a_late_event_of_a_predecessor_does_not_replace_the_secret() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    late = stored(8)
    late["metadata"]["uid"] = "secret-0"
    seen.view.see_secret(late)
    seen.view.miss_secret(*PLACE, late)
    assert seen.view.secrets[PLACE].uid == "secret-1"
    assert not seen.view.secrets[PLACE].deleted


def test_a_lost_secret_is_remembered_until_nobody_wants_it_back() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.miss_secret(*PLACE, None)
    assert seen.view.secrets[PLACE].deleted
    assert seen.view.known_secrets() == []
    seen.view.forget_lost(PLACE)
    assert PLACE not in seen.view.secrets


def test_a_successor_under_the_same_name_takes_the_place_of_a_workload_whose_end_was_not_seen() -> None:
    seen = Seen()
    seen.view.see_workload(DEPLOYMENT, workload("old", 1))
    seen.view.see_workload(DEPLOYMENT, workload("new", 5))
    assert list(seen.view.workloads[PLACE[0]]) == ["new"]
    seen.view.see_workload(DEPLOYMENT, workload("old", 2))  # late
    assert "new" in seen.view.workloads[PLACE[0]]
    seen.view.miss_workload(DEPLOYMENT, PLACE[0], "web", None)
    assert not seen.view.workloads[PLACE[0]]


def test_a_workload_asks_for_the_sets_that_it_uses_only_when_something_that_counts_changed() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.see_workload(DEPLOYMENT, workload("web", 1))
    seen.view.see_workload(DEPLOYMENT, workload("web", 2))
    assert seen.asked == [OWNER]
    seen.view.miss_workload(DEPLOYMENT, PLACE[0], "web", None)
    assert seen.asked == [OWNER, OWNER]


# --- a store that was put back: older versions come again, and are newer


def account(version: int, *pull_secrets: str) -> dict[str, Any]:
    meta = {"name": "default", "namespace": PLACE[0], "uid": "account-1", "resourceVersion": str(version)}
    return {"metadata": meta, "imagePullSecrets": [{"name": name} for name in pull_secrets]}


@pytest.mark.parametrize("scope", ["", PLACE[0]])
def test_after_a_doubt_an_older_secret_counts(scope: str) -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.doubt_secrets(scope)
    older = stored(4)
    older["data"] = {"A": "b2xk"}
    seen.view.see_secret(older)
    assert seen.asked == [OWNER]
    assert seen.view.secrets[PLACE].resource_version == "4"
    assert not seen.view.secrets[PLACE].intact


def test_after_a_doubt_the_same_version_is_looked_at_too() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.doubt_secrets("")
    other = stored(9)
    other["data"] = {"A": "b2xk"}
    seen.view.see_secret(other)
    assert not seen.view.secrets[PLACE].intact, "versions that were given out come a second time"


def test_what_we_write_after_a_doubt_is_newer_than_the_list() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.doubt_secrets("")
    seen.view.remember_secret(stored(6, A=b"2"))
    seen.view.see_secret(stored(4))
    assert seen.asked == []
    assert seen.view.secrets[PLACE].resource_version == "6"


def test_a_doubt_is_about_its_own_namespace_and_kind() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.see_workload(DEPLOYMENT, workload("web", 9))
    seen.view.see_account(account(9))
    seen.view.doubt_secrets("other")
    seen.view.doubt_workloads(DEPLOYMENT, "other")
    seen.view.doubt_accounts("other")
    assert seen.view.secrets[PLACE].resource_version == "9"
    assert seen.view.workloads[PLACE[0]]["web"].resource_version == "9"
    assert seen.view.service_accounts[PLACE[0]]["default"].resource_version == "9"
    seen.view.doubt_secrets(PLACE[0])
    assert seen.view.workloads[PLACE[0]]["web"].resource_version == "9"
    assert seen.view.service_accounts[PLACE[0]]["default"].resource_version == "9"


def test_a_doubt_forgets_no_workload_and_no_account() -> None:
    """Each watch doubts for itself: what another has listed again must stay."""
    seen = Seen()
    seen.view.see_workload(DEPLOYMENT, workload("web", 9))
    seen.view.see_account(account(9))
    seen.view.doubt_workloads(DEPLOYMENT, "")
    seen.view.doubt_accounts("")
    assert seen.view.known_workloads(DEPLOYMENT) == [(PLACE[0], "web")]
    assert seen.view.known_accounts() == [(PLACE[0], "default")]
    seen.view.see_workload(DEPLOYMENT, workload("web", 4))
    seen.view.see_account(account(4, "regcred"))
    assert seen.view.workloads[PLACE[0]]["web"].resource_version == "4"
    assert seen.view.service_accounts[PLACE[0]]["default"].pull_secrets == ("regcred",)


def test_after_a_doubt_a_workload_that_was_replaced_since_comes_back_in_its_place() -> None:
    seen = Seen()
    seen.view.see_workload(DEPLOYMENT, workload("new", 9))
    seen.view.doubt_workloads(DEPLOYMENT, "")
    seen.view.see_workload(DEPLOYMENT, workload("old", 4))
    assert list(seen.view.workloads[PLACE[0]]) == ["old"]


def test_what_a_secret_was_meant_to_do_outlives_a_doubt() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    wave = Wave(id="w2", since=1.0, changed=1.0, targets={"web": 1})
    seen.view.secrets[PLACE].wave = wave
    seen.view.secrets[PLACE].revision = 2
    seen.view.doubt_secrets("")
    seen.view.see_secret(stored(4))
    assert seen.view.secrets[PLACE].wave is wave


def test_another_cluster_behind_the_name_makes_all_forgotten() -> None:
    seen = Seen()
    seen.view.remember_secret(stored(9))
    seen.view.see_workload(DEPLOYMENT, workload("web", 9))
    seen.view.see_account(account(9))
    seen.view.forget()
    assert (seen.view.secrets, seen.view.workloads, seen.view.service_accounts) == ({}, {}, {})
    assert seen.view.known_secrets() == []
    seen.view.see_secret(stored(2))
    assert seen.view.secrets[PLACE].resource_version == "2"


# --- rollouts


def test_it_tells_how_each_rollout_stands_when_that_changes_and_when_the_workload_is_gone() -> None:
    seen = Seen()
    for version, generation in ((1, 1), (2, 2), (3, 2)):
        obj = workload("web", version)
        obj["metadata"]["generation"] = generation
        seen.view.see_workload(DEPLOYMENT, obj)
    seen.view.miss_workload(DEPLOYMENT, PLACE[0], "web", None)
    assert seen.rollouts == [("web", Rollout.CURRENT), ("web", Rollout.RESTARTING), ("web", None)]


def test_who_was_restarted_is_remembered_for_its_wave_alone() -> None:
    seen = Seen()
    record = seen.view.remember_secret(stored(9, A=b"2"))
    assert record is not None
    assert record.wave is not None
    seen.view.see_workload(DEPLOYMENT, workload("web", 1))
    web = seen.view.workloads[PLACE[0]]["web"]
    seen.view.note_restart(web, {"app": "other", "unknown": "x"})
    assert record.restarted_for(record.wave) == frozenset()
    seen.view.note_restart(web, {"app": record.wave.id})
    again = seen.view.remember_secret(stored(10, A=b"2"))
    assert again is not None
    assert again.restarted_for(record.wave) == {"web"}
    later = seen.view.remember_secret(stored(11, A=b"3"))
    assert later is not None
    assert (set(later.restarted_for(later.wave)), set(later.restarted_for(record.wave))) == (set(), set())


def test_what_kept_a_workload_s_pods_is_forgotten_when_it_gets_on_or_goes() -> None:
    seen = Seen()
    seen.view.stuck["web"] = "pod 'x': y"
    seen.view.see_workload(DEPLOYMENT, workload("web", 1))
    assert seen.view.stuck == {}
    seen.view.stuck["web"] = "pod 'x': y"
    seen.view.miss_workload(DEPLOYMENT, PLACE[0], "web", None)
    assert seen.view.stuck == {}


@pytest.mark.parametrize("everything", [True, False])
def test_what_is_not_followed_any_more_gives_its_places_back(everything: bool) -> None:
    seen = Seen()
    other = workload("other", 1)
    other["metadata"]["namespace"] = "elsewhere"
    for obj in (workload("web", 1), other):
        seen.view.see_workload(DEPLOYMENT, obj)
    seen.view.stuck.update({"web": "pod 'x': y", "other": "pod 'x': y"})
    seen.rollouts.clear()
    if everything:
        seen.view.forget()
    else:
        seen.view.drop(PLACE[0])
    gone = {"web", "other"} if everything else {"web"}
    assert sorted(seen.rollouts) == [(uid, None) for uid in sorted(gone)]
    assert seen.view.stuck.keys() == {"web", "other"} - gone
