"""What users do with sets, on a real API server: one read and one write, merged where that is safe, told where not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness import Org, eventually, value_from
from kubelab.plane import ControlPlane
from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.follow import follow
from secretset.actions.session import Session
from secretset.actions.sets import Wanted
from secretset.domain.names import Key, Kind
from secretset.kube import credentials
from secretset.kube.client import Client


@asynccontextmanager
async def as_admin(plane: ControlPlane) -> AsyncIterator[Session]:
    async with Client(await credentials.load(str(plane.kubeconfig)), name="hub", manager="test") as client:
        yield Session(client)


def secret_set(org: Org, name: str = "app") -> Key:
    return Key(Kind.SECRET_SET, org.name, name)


def pull_secret(org: Org, name: str = "app") -> Key:
    return Key(Kind.IMAGE_PULL_SECRET, org.name, name)


def writes_of(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of the requests from now on."""
    sent: list[str] = []
    request = Client.request

    async def counted(self: Client, method: str, *args: Any, **kwargs: Any) -> Any:
        sent.append(method)
        return await request(self, method, *args, **kwargs)

    monkeypatch.setattr(Client, "request", counted)
    return sent


def text(values: Mapping[str, bytes]) -> dict[str, str]:
    return {key: value.decode() for key, value in values.items()}


async def test_made_merged_overwritten_and_deleted(org: Org) -> None:
    first, second, third = org.canary(), org.canary(), org.canary()
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        wanted = Wanted(values={"A": first.encode()}, description="d", metadata={"o": "x"})
        stored = await sets.put(session, key, wanted)
        assert stored.created
        assert stored.view.region == "us-west"  # resolved here, and written down
        org.reaches("ready", "Synced")
        stored = await sets.put(session, key, Wanted(values={"A": second.encode(), "B": b""}, metadata={"t": "1"}))
        assert not stored.created
        assert stored.view.metadata == {"o": "x", "t": "1"}
        assert stored.view.description == "d"
        eventually(lambda: text(org.values()) == {"A": second, "B": ""})
        await sets.put(session, key, Wanted(values={"C": third.encode()}, overwrite=True))
        eventually(lambda: text(org.values()) == {"C": third})
        view = await sets.find(session, org.name, "app")
        assert [each.name for each in view.keys] == ["C"]
        await sets.delete(session, view)
        eventually(lambda: org.managed() is None)
        with pytest.raises(Refused) as refused:
            await sets.find(session, org.name, "app")
        assert refused.value.why is Why.ABSENT


async def test_one_write_and_none_where_nothing_is_to_change(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        await sets.put(session, key, Wanted(values={"A": org.canary().encode()}, description="d"))
        sent = writes_of(session.client, monkeypatch)
        stored = await sets.put(session, key, Wanted(description="d"))
        assert not stored.changed
        assert sent == ["GET", "GET"]
        sent.clear()
        await sets.put(session, key, Wanted(values={"A": org.canary().encode()}))
        assert sent == ["GET", "GET", "PATCH"]


async def test_writers_of_different_keys_are_merged(org: Org) -> None:
    values = {f"K{number}": org.canary() for number in range(50)}
    async with as_admin(org.plane) as session:
        wanted = (Wanted(values={key: value.encode()}) for key, value in values.items())
        await asyncio.gather(*(sets.put(session, secret_set(org), each) for each in wanted))
    eventually(lambda: text(org.values()) == values)


async def test_of_two_writers_of_one_key_one_is_told(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = org.canary(), org.canary()
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        await sets.put(session, key, Wanted(values={"A": org.canary().encode(), "B": b""}))
        patch = Client.patch
        met: list[str] = []

        async def late(self: Client, path: str, body: Any, content_type: str) -> Any:
            if not met:
                met.append(path)
                await sets.put(session, key, Wanted(values={"A": theirs.encode()}))
            return await patch(self, path, body, content_type)

        monkeypatch.setattr(Client, "patch", late)
        for attempt in (
            sets.put(session, key, Wanted(values={"A": mine.encode()})),
            sets.put(session, key, Wanted(values={"C": mine.encode()}, overwrite=True)),
            sets.unset(session, key, ["A"]),
        ):
            met.clear()
            theirs = org.canary()
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.why is Why.CONFLICT
            eventually(lambda: text(org.values()) == {"A": theirs, "B": ""})  # noqa: B023  (called at once)


async def test_a_set_that_goes_away_is_not_changed(org: Org) -> None:
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        await sets.put(session, key, Wanted(values={"A": org.canary().encode()}))
        org.kubectl("patch", "secretset", "app", "--type=merge", '-p={"metadata":{"finalizers":["a.test/hold"]}}')
        org.kubectl("delete", "secretset", "app", "--wait=false")
        with pytest.raises(Refused, match="being deleted") as refused:
            await sets.put(session, key, Wanted(values={"B": b""}))
        assert refused.value.why is Why.CONFLICT
        org.kubectl("patch", "secretset", "app", "--type=merge", '-p={"metadata":{"finalizers":null}}')


async def test_a_status_is_nobodys_change(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overwrite has to have seen all keys, and what the operator says of them meanwhile is none of them."""
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        await sets.put(session, key, Wanted(values={"A": org.canary().encode()}))
        org.reaches("ready", "Synced")
        patch = Client.patch
        met: list[str] = []

        async def late(self: Client, path: str, body: Any, content_type: str) -> Any:
            if not met:
                met.append(path)
                org.kubectl("annotate", "secretset", "app", "somebody=else")
            return await patch(self, path, body, content_type)

        monkeypatch.setattr(Client, "patch", late)
        stored = await sets.put(session, key, Wanted(values={"B": org.canary().encode()}, overwrite=True))
        assert met
        assert [each.name for each in stored.view.keys] == ["B"]


async def test_a_set_without_a_region_gets_the_one_that_is_named(org: Org) -> None:
    other = org.region(f"{org.name}-late", namespace=org.regional)
    org.kubectl("annotate", "namespace", org.name, "secretset.dev/default-region=nowhere")
    org.source()
    org.secret_set()
    org.reaches("failed", "RegionUnknown")
    async with as_admin(org.plane) as session:
        with pytest.raises(Refused) as refused:
            await sets.put(session, secret_set(org), Wanted(values={"B": b""}, region="elsewhere"))
        assert refused.value.why is Why.REGION_INVALID
        stored = await sets.put(session, secret_set(org), Wanted(values={"B": b""}, region=other))
        assert stored.view.obj["spec"]["region"] == other
    org.reaches("ready", "Synced")
    org.kubectl("delete", "secretset", "app")
    org.forget_regions()


async def test_the_last_key_stays(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_admin(org.plane) as session:
        key = secret_set(org)
        await sets.put(session, key, Wanted(values={"A": org.canary().encode(), "B": b"", "C": b""}))
        await sets.unset(session, key, ["C"])
        with pytest.raises(Refused, match=r"Cannot remove the last key; delete the set instead\.") as refused:
            await sets.unset(session, key, ["A", "B"])
        assert refused.value.why is Why.LAST_KEY
        with pytest.raises(Refused) as refused:
            await sets.unset(session, key, ["A", "Z"])
        assert refused.value.why is Why.ABSENT
        # Two at once: the second finds that the other key is gone.
        done = await asyncio.gather(
            sets.unset(session, key, ["A"]), sets.unset(session, key, ["B"]), return_exceptions=True
        )
        told = [each for each in done if isinstance(each, Refused)]
        assert [each.why for each in told] == [Why.LAST_KEY]


async def test_refused_before_anything_is_sent(org: Org) -> None:
    async with as_admin(org.plane) as session:
        value = org.canary().encode()
        wrong = [
            (secret_set(org, "A"), Wanted(values={"A": value})),
            (secret_set(org), Wanted(values={"a.b": value})),
            (secret_set(org), Wanted(values={"LIVEKIT_URL": value})),
            (secret_set(org), Wanted(values={"A": value * 1000})),
            (secret_set(org), Wanted(values={f"K{number}": value for number in range(257)})),
            (pull_secret(org), Wanted(values={"password": value}, host="ghcr.io")),
        ]
        for key, wanted in wrong:
            with pytest.raises(Refused) as refused:
                await sets.put(session, key, wanted)
            assert refused.value.why is Why.INVALID
            assert value.decode() not in str(refused.value)
        with pytest.raises(Refused) as refused:
            await sets.put(session, Key(Kind.SECRET_SET, "nobody", "app"), Wanted(values={"A": value}))
        assert refused.value.why is Why.NO_ORGANIZATION
        assert not await sets.list_sets(session, org.name)


async def test_regions_are_checked_and_never_change(org: Org) -> None:
    async with as_admin(org.plane) as session:
        value = org.canary().encode()
        with pytest.raises(Refused, match="Invalid region or organization does not have access") as refused:
            await sets.put(session, secret_set(org), Wanted(values={"A": value}, region="nowhere"))
        assert refused.value.why is Why.REGION_INVALID
        await sets.put(session, secret_set(org), Wanted(values={"A": value}, region="us-west"))
        await sets.put(session, secret_set(org), Wanted(values={"A": value}, region="us-west"))
        told = r"Secret already exists in region 'us-west'\. Cannot change region to 'us-east'\."
        with pytest.raises(Refused, match=told) as refused:
            await sets.put(session, secret_set(org), Wanted(values={"A": value}, region="us-east"))
        assert refused.value.why is Why.REGION_FIXED


async def test_a_name_belongs_to_one_kind(org: Org) -> None:
    async with as_admin(org.plane) as session:
        password = {"password": org.canary().encode()}
        await sets.put(session, pull_secret(org), Wanted(values=password, host="ghcr.io", username="bot"))
        with pytest.raises(Refused) as refused:
            await sets.put(session, secret_set(org), Wanted(values={"A": b""}))
        assert refused.value.why is Why.OTHER_KIND
        stored = await sets.put(session, pull_secret(org), Wanted(values=password, username="robot"))
        assert (stored.view.host, stored.view.username) == ("ghcr.io", "robot")
        found = await sets.find(session, org.name, "app")
        assert found.key == pull_secret(org)


async def test_a_set_that_grows_too_long_is_told_so(org: Org) -> None:
    async with as_admin(org.plane) as session:
        long = {f"K{number}": b"x" * 16_000 for number in range(30)}
        await sets.put(session, secret_set(org), Wanted(values=long))
        more = {f"L{number}": b"x" * 16_000 for number in range(30)}
        with pytest.raises(Refused, match="split the set") as refused:
            await sets.put(session, secret_set(org), Wanted(values=more))
        assert refused.value.why is Why.INVALID
        stored = await sets.put(session, secret_set(org), Wanted(values=more, overwrite=True))
        assert {key.name for key in stored.view.keys} == set(more)


async def test_long_requests_and_what_only_the_hub_knows(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of the hub may be stricter than ours; here ours are laxer."""
    monkeypatch.setattr("secretset.domain.names.SEALED_MAX_BYTES", 2**30)
    org.source()
    org.secret_set(data={"A": value_from("src", "a")})
    async with as_admin(org.plane) as session:
        long = {f"K{number}": b"x" * 16_000 for number in range(60)}
        for name in ("app", "new"):
            with pytest.raises(Refused, match="rules") as refused:
                await sets.put(session, secret_set(org, name), Wanted(values=long))
            assert refused.value.why is Why.INVALID


async def test_a_set_is_followed(org: Org) -> None:
    phases: list[str | None] = []
    async with as_admin(org.plane) as session, contextlib.aclosing(follow(session, secret_set(org))) as views:
        async with asyncio.timeout(30):
            async for view in views:
                phases.append(view.phase.value if view else None)
                if phases == [None]:
                    await sets.put(session, secret_set(org), Wanted(values={"A": org.canary().encode()}))
                elif view is not None and view.usable:
                    await sets.delete(session, view)
                elif view is None and len(phases) > 1:
                    break
    assert phases[0] is None
    assert {"pending", "ready"} <= set(phases)
