"""Scenarios while a second API server, frozen in the past, answers the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chaos.lane import FAR, Lane
from chaos.past import Past, Stale, second_api_server
from chaos.run import run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]
NEAR_ONES = ("create", "change", "delete", "recreate", "sealed-changes", "pull")
FAR_ONES = ("far-create", "far-change", "far-delete", "far-lost")
PLACES = [*(("hub", name) for name in NEAR_ONES + FAR_ONES[:2]), *((FAR, name) for name in FAR_ONES)]


@pytest.fixture(scope="module")
def pasts(lane: Lane) -> Iterator[dict[str, Past]]:
    """The second API server of each plane."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(second_api_server(plane)) for name, plane in lane.planes.items()}


@pytest.mark.parametrize(("plane", "name"), PLACES)
def test_watches_stale(lane: Lane, pasts: dict[str, Past], plane: str, name: str) -> None:
    """What users do is not told to the operator for a while, though its writes and reads come through."""
    run(lane, name, trouble=Stale(pasts, plane, "watch"))


@pytest.mark.parametrize(("plane", "name"), PLACES)
def test_all_stale(lane: Lane, pasts: dict[str, Past], plane: str, name: str) -> None:
    """All requests go to an API server that knows of nothing, and cannot do anything."""
    run(lane, name, trouble=Stale(pasts, plane, "read", "write", "watch"))


@pytest.mark.parametrize(("plane", "name"), PLACES)
def test_back_in_the_past(lane: Lane, pasts: dict[str, Past], plane: str, name: str) -> None:
    """When all is done, watches go back to what was before that, and the operator compares everything."""
    run(lane, name, trouble=Stale(pasts, plane, "watch", later=True))
