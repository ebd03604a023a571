"""The rows of the fault programme: each two values that can meet do, and no row is one that cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chaos.pairwise import pairwise


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    barred=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12),
)
def test_all_pairs_that_can_meet_do(sizes: list[int], barred: set[tuple[int, int]]) -> None:
    def possible(row: Sequence[Any]) -> bool:
        return not any((row[0], each) in barred for each in row[1:])

    columns = [range(size) for size in sizes]
    rows = pairwise(columns, possible)
    assert all(map(possible, rows))
    for i, j in itertools.combinations(range(len(sizes)), 2):
        can = {(row[i], row[j]) for row in itertools.product(*columns) if possible(row)}
        assert {(row[i], row[j]) for row in rows} == can
