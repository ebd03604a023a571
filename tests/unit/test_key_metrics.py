"""Sealed values by the key that opens them: what was lost here is told from what was never here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from secretset import telemetry
from secretset.domain.sealing_keys import BACKED_UP, DOCUMENT, PublicKeys, SealingKey
from unit.key_hub import INSTALLATION, PUBLIC, Follower, KeyHub, private, running, sealed, until


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    telemetry.SEALED_VALUES.clear()
    telemetry.SEALING_KEY_BACKED_UP.clear()


def told(name: str) -> dict[str, float]:
    (metric,) = (each for each in REGISTRY.collect() if each.name == name)
    return {sample.labels["kid"]: sample.value for sample in metric.samples}


@pytest.mark.parametrize("known", ["published", "saved", "never"])
async def test_a_key_that_was_here_is_lost_and_another_is_foreign(known: str) -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    gone = private(2)
    key = SealingKey(private=gone, created=datetime(2026, 1, 1, tzinfo=UTC))
    public = PublicKeys.of(INSTALLATION, [key] if known == "published" else [])
    notes = {BACKED_UP: gone.kid} if known == "saved" else {}
    hub.objects[PUBLIC] = {
        "metadata": {"name": "secretset-public-keys", "uid": "u", "resourceVersion": "1", "annotations": notes},
        "data": {DOCUMENT: public.render()},
    }
    leader = Follower(hub, leads=True)
    leader.has_set("app", sealed(gone))
    lost = known != "never"
    async with running(leader):
        wanted = {private(1).kid: 0, "lost": int(lost), "foreign": int(not lost)}
        await until(lambda: told("secretset_sealed_values") == wanted)


async def test_a_key_that_this_replica_held_is_lost_when_it_is_gone() -> None:
    hub = KeyHub()
    hub.keep_keys(1, 2)
    leader = Follower(hub, leads=True)
    leader.has_set("app", sealed(private(2)))
    async with running(leader):
        await until(lambda: told("secretset_sealed_values").get(private(2).kid) == 1)
        hub.keep_keys(1)
        leader.keys.members_changed()
        await until(lambda: told("secretset_sealed_values").get("lost") == 1)


async def test_who_leads_no_more_tells_of_no_backups() -> None:
    hub = KeyHub()
    hub.keep_keys(1)
    leader = Follower(hub, leads=True)
    async with running(leader):
        await until(lambda: told("secretset_sealing_key_backed_up") == {private(1).kid: 0})
        leader.leads = False
        leader.keys.members_changed()
        await until(lambda: not told("secretset_sealing_key_backed_up"))
