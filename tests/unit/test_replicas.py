"""Which replica serves which region: few regions move, and only to who can serve them."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain.replicas import Replica, owner

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
REGIONS = [f"region-{number}" for number in range(40)]
LIMITS = st.none() | st.frozensets(st.sampled_from(REGIONS), max_size=10)
REPLICAS = st.lists(st.builds(Replica, name=NAMES, regions=LIMITS), unique_by=lambda replica: replica.name, max_size=8)


def share(replicas: list[Replica], *, in_cluster: bool = False) -> dict[str, str | None]:
    return {each: owner(each, replicas, in_cluster=in_cluster) for each in REGIONS}


@given(REPLICAS, st.booleans(), st.randoms())
def test_all_replicas_agree_whatever_order_they_see_each_other_in(
    replicas: list[Replica], in_cluster: bool, random: Random
) -> None:
    shuffled = list(replicas)
    random.shuffle(shuffled)
    assert share(replicas, in_cluster=in_cluster) == share(shuffled, in_cluster=in_cluster)


@given(REPLICAS, st.builds(Replica, name=NAMES.map(lambda name: f"new-{name}"), regions=LIMITS), st.booleans())
def test_only_what_a_replica_wins_or_leaves_moves(replicas: list[Replica], one: Replica, in_cluster: bool) -> None:
    replicas = [replica for replica in replicas if replica.name != one.name]
    without, with_it = share(replicas, in_cluster=in_cluster), share([*replicas, one], in_cluster=in_cluster)
    moved = {each for each in REGIONS if without[each] != with_it[each]}
    assert {with_it[each] for each in moved} <= {one.name}
    assert moved == {each for each in REGIONS if with_it[each] == one.name}


@given(REPLICAS, st.booleans())
def test_only_who_can_serve_a_region_does_and_somebody_does_if_anybody_can(
    replicas: list[Replica], in_cluster: bool
) -> None:
    for each, name in share(replicas, in_cluster=in_cluster).items():
        able = {r.name for r in replicas if (not in_cluster if r.regions is None else each in r.regions)}
        assert (name in able) if able else name is None


def test_the_work_is_shared() -> None:
    replicas = [Replica(name=f"secretset-operator-6d5c9f7b-{suffix}") for suffix in ("x2klp", "q8w4z", "m5n6b")]
    shares = Counter(owner(f"region-{number}", replicas) for number in range(300))
    assert len(shares) == 3
    assert min(shares.values()) > 70


@pytest.mark.parametrize(("regions", "leads"), [(None, True), (frozenset({"a"}), False)])
def test_who_was_told_what_to_serve_does_not_lead(regions: frozenset[str] | None, leads: bool) -> None:
    assert Replica(name="one", regions=regions).may_lead is leads
