"""Rows in which each two values of different columns meet at least once, if they can."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from allpairspy import AllPairs

Row = tuple[Any, ...]


def pairwise(columns: Sequence[Collection[Any]], possible: Callable[[Sequence[Any]], bool]) -> list[Row]:
    """Few rows that have all pairs which can meet.

    Where its filter leaves it no way on, allpairspy ends, whatever is left: that is added here.

    Args:
        columns: the values of each, which have to be hashable.
        possible: whether a row, or the beginning of one, can be.
    """
    rows = [tuple(row) for row in AllPairs([list(column) for column in columns], filter_func=possible)]
    met = {pair for row in rows for pair in _pairs(row)}
    for (i, one), (j, other) in itertools.combinations(enumerate(columns), 2):
        for a, b in itertools.product(one, other):
            if ((i, a), (j, b)) in met:
                continue
            fixed = {i: (a,), j: (b,)}
            wider = itertools.product(*(fixed.get(k, column) for k, column in enumerate(columns)))
            if best := max(filter(possible, wider), key=lambda row: len({*_pairs(row)} - met), default=None):
                rows.append(best)
                met.update(_pairs(best))
    return rows


def _pairs(row: Row) -> Iterator[tuple[Any, ...]]:
    return itertools.combinations(enumerate(row), 2)
