"""A canary in every value: whatever is printed, logged or raised of an object with values, never shows one."""

import base64
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import deployment, pull_secret, secret_set
from secretset.domain import payload, record, rollout_status, status
from secretset.domain.fingerprint import Keyring
from secretset.domain.names import Kind
from secretset.domain.reasons import Problem
from unit.slots import KEYRING, OWNER, Slot, wanted

# Some letters that stand nowhere else make sure that a find is the value, and not a word that happens to be equal.
values = st.text(max_size=24).map(lambda text: f"cAnArY{text}YrAnAc")
contents = st.dictionaries(st.sampled_from("ABC"), values, min_size=1)


def seen(*things: object) -> str:
    return "\n".join(f"{thing!r}\n{thing!s}\n{thing}" for thing in things)


def forms(value: str) -> set[str]:
    raw = value.encode()
    coded = base64.b64encode(raw).decode()
    return {value, repr(value)[1:-1], str(raw)[2:-1], coded, coded.rstrip("="), raw.hex()}


def assert_no_trace(text: str, content: dict[str, str]) -> None:
    for value in content.values():
        assert not {form for form in forms(value) if form in text}


@given(contents, contents)
def test_nothing_that_holds_or_describes_values_prints_one(first: dict[str, str], second: dict[str, str]) -> None:
    slot, workloads = Slot(), [deployment("web").env_from("app").workload()]
    desired = [wanted({key: value.encode() for key, value in content.items()}) for content in (first, second)]
    printed = [seen(*desired)]
    for each in desired:
        found = slot.deliver(each, slot.status() if slot.obj else None, workloads=workloads)
        secret, memory = slot.secret, slot.status()
        assert secret.marks is not None
        printed.append(seen(found, secret, secret.marks, slot.record(), memory, slot.wave))
        printed.append(seen(secret.marks.labels(), secret.marks.annotations()))
        printed.append(
            seen(
                status.synced(
                    generation=1,
                    place=status.Place(region="us", namespace="team-us", name="app"),
                    marks=secret.marks,
                    rollout=rollout_status.tell(slot.outlook(workloads)),
                    previous=None,
                    timestamp="",
                )
            )
        )
    assert_no_trace("\n".join(printed), first | {f"{key}2": value for key, value in second.items()})


REFUSALS: dict[str, Callable[[str], object]] = {
    "host": lambda value: payload.normalize_host(f"https://user:{value}@"),
    "username": lambda value: payload.docker_config("", value, value.encode()),
    "password": lambda value: payload.docker_config("ghcr.io", "bot", value.encode() + b"\xff"),
    "key": lambda value: payload.check_keys([f".{value}"], ()),
    "size": lambda value: payload.check_sizes({"A": value.encode() * 5000}),
}


@given(values, st.sampled_from(sorted(REFUSALS)))
def test_no_problem_shows_a_value_nor_does_its_traceback(value: str, where: str) -> None:
    with pytest.raises(Problem) as raised:
        REFUSALS[where](value)
    assert_no_trace(seen(raised.value) + "".join(traceback.format_exception(raised.value)), {"A": value})


@given(values)
def test_a_spec_that_does_not_fit_is_refused_without_its_content(value: str) -> None:
    with pytest.raises(Problem) as raised:
        record.parse_spec(Kind.SECRET_SET, {"data": {"A": value}})
    assert_no_trace(seen(raised.value) + "".join(traceback.format_exception(raised.value)), {"A": value})


@given(values)
def test_the_record_of_an_object_keeps_no_plain_value(value: str) -> None:
    """The webhook takes it away; should one be stored all the same, it goes no further."""
    plain = secret_set().with_spec(data={"A": {"value": value}}).record()
    password = pull_secret().with_spec(password={"value": value}).record()
    assert_no_trace(seen(plain, password), {"A": value})


@given(st.binary(min_size=32, max_size=32))
def test_a_keyring_prints_none_of_its_keys(key: bytes) -> None:
    ring = Keyring(keys={"k1": key}, current="k1")
    text = seen(ring, KEYRING)
    assert not {form for form in (str(key)[2:-1], key.hex(), base64.b64encode(key).decode()) if form in text}
    assert ring.fingerprint(OWNER, "A", b"x") not in text
