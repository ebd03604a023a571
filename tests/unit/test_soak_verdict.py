"""The rule by which a soak calls a measure flat, or not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from soak.verdict import Allowance, Verdict, judge, kendall, slope

TIMES = [10.0 * number for number in range(180)]
ALLOWED = Allowance(3, 0.05)


def judged(shape: Callable[[float], float], *, noise: float = 0.0, seed: int = 1) -> Verdict:
    chance = random.Random(seed)
    return judge("measure", TIMES, [shape(t) + chance.gauss(0.0, noise) for t in TIMES], ALLOWED)


@pytest.mark.parametrize(
    "shape",
    [
        lambda _: 100.0,
        lambda t: 100.0 if t < 300 else 140.0,  # what is taken at the beginning, once
        lambda t: 200.0 - t / 20,
        lambda t: 100.0 + 30.0 * (t % 150 < 40),  # comes and goes with the load
        lambda t: 100.0 + 500.0 * (t == 1700),  # a peak
        lambda t: 100.0 + t / 1000,  # within what is allowed
    ],
)
def test_what_does_not_grow_is_flat(shape: Callable[[float], float]) -> None:
    assert all(judged(shape, noise=1.0, seed=seed).flat for seed in range(5))


@pytest.mark.parametrize(
    "shape",
    [
        lambda t: 100.0 + t / 60,
        lambda t: 100.0 + 30.0 * (t % 150 < 40) + t / 40,  # under what comes and goes
        lambda t: 100.0 + 10.0 * (t // 400),  # by steps
    ],
)
def test_what_grows_does(shape: Callable[[float], float]) -> None:
    assert not any(judged(shape, noise=1.0, seed=seed).flat for seed in range(5))


def test_it_tells_what_it_judged_by() -> None:
    found = judged(lambda t: 100.0 + t / 60)
    assert (round(found.before), round(found.after), found.rises) == (111, 126, True)
    assert found.allowed == pytest.approx(0.05 * found.before)
    assert found.per_day == pytest.approx(86_400 / 60)
    assert (found.least, found.most) == pytest.approx((100 + 450 / 60, 100 + 1790 / 60))


def test_no_single_point_moves_the_slope() -> None:
    points = [(float(t), 2.0 * t) for t in range(50)]
    assert slope(points) == slope([*points, (50.0, 1e9)]) == 2.0


def test_a_trend_is_told_from_chance() -> None:
    chance = random.Random(7)
    assert kendall([float(value) for value in range(30)]) > 5
    assert kendall([5.0] * 30) == 0.0
    found = [kendall([chance.random() for _ in range(60)]) for _ in range(200)]
    assert sum(value > 2.326 for value in found) < 9  # 1 % of them, and what chance allows
