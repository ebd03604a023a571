"""Lists of the moment of a write: exact where the store can, and what they are where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from builders import at, deployment, stateful_set
from secretset.controller.listing import workloads_at
from secretset.domain.workloads import DEPLOYMENT, STATEFUL_SET
from secretset.kube import errors
from secretset.kube.client import Client

WRITTEN = 1772323200.0 + 60  # at(60)
KINDS = (DEPLOYMENT, STATEFUL_SET)


class Lists:
    """A client whose lists come in pages of one.

    Attributes:
        asked: the parameters of each request, but for the limit.
    """

    def __init__(self, faults: Mapping[int, Exception] | None = None, known: Mapping[str, int] | None = None) -> None:
        self.known = {f"uid-{name}": generation for name, generation in (known or {}).items()}
        self.asked: list[dict[str, str]] = []
        self._faults = dict(faults or {})
        self._items = {
            "deployments": [deployment(f"d-{second}").created(second).object() for second in (0, 61, 99)],
            "statefulsets": [stateful_set("s").created(5).object()],
        }

    async def get(self, path: str, params: Mapping[str, str], *, accept: str | None = None) -> Any:
        assert accept is None
        plural = path.rpartition("/")[2]
        assert path == f"/apis/apps/v1/namespaces/team-us/{plural}"
        if plural == "deployments":
            self.asked.append({name: value for name, value in params.items() if name != "limit"})
            if fault := self._faults.get(len(self.asked)):
                raise fault
        await asyncio.sleep(0)
        start = int(params.get("continue", "0"))
        more = {"continue": str(start + 1)} if start + 1 < len(self._items[plural]) else {}
        return {"metadata": more, "items": self._items[plural][start : start + 1]}

    async def names(self, *, exact: bool) -> list[str]:
        client = cast("Client", self)
        found = await workloads_at(
            client, KINDS, "team-us", version="42", written=WRITTEN, exact=exact, known=self.known
        )
        assert {workload.kind for workload in found} == {"Deployment", "StatefulSet"}
        return [workload.name for workload in found]


EXACT = {"resourceVersion": "42", "resourceVersionMatch": "Exact"}


async def test_an_exact_list_is_taken_as_it_is_and_continued_by_its_token_alone() -> None:
    lists = Lists()
    assert await lists.names(exact=True) == ["d-0", "d-61", "d-99", "s"]
    assert lists.asked == [EXACT, {"continue": "1"}, {"continue": "2"}]


async def test_who_is_known_as_it_is_is_left_out() -> None:
    assert await Lists(known={"d-0": 1, "d-61": 2}).names(exact=True) == ["d-61", "d-99", "s"]


async def test_of_a_list_of_a_later_version_who_was_created_later_is_left_out() -> None:
    """Two seconds later, because clocks differ."""
    assert at(60).endswith("00:01:00Z")
    assert await Lists().names(exact=False) == ["d-0", "d-61", "s"]


@pytest.mark.parametrize("fault", [errors.Gone(410), errors.ServerError(504)])
@pytest.mark.parametrize("page", [1, 2])
async def test_what_the_store_does_not_keep_is_listed_as_it_is_now(fault: Exception, page: int) -> None:
    """Compacted, or of a version that it does not know (yet): another store."""
    lists = Lists({page: fault})
    assert await lists.names(exact=True) == ["d-0", "d-61", "s"]
    assert lists.asked[page:] == [{}, {"continue": "1"}, {"continue": "2"}]


@pytest.mark.parametrize("fault", [errors.Forbidden(403), errors.Unreachable("x"), errors.Throttled(429)])
async def test_any_other_failure_is_the_caller_s_business(fault: errors.KubeError) -> None:
    with pytest.raises(type(fault)):
        await Lists({1: fault}).names(exact=True)


async def test_a_store_that_fails_twice_fails() -> None:
    with pytest.raises(errors.ServerError):
        await Lists({1: errors.ServerError(504), 2: errors.ServerError(504)}).names(exact=True)
