"""How long the property tests look (HYPOTHESIS_PROFILE=thorough: longer), and what no test takes from another."""

import os

import pytest
from hypothesis import settings

from unit import key_hub

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=1500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def _moment() -> None:
    key_hub.moment.cache_clear()
