"""Make, change, read and delete sets, with the rights of a `Session`.

Values are sealed here, for their place, and nowhere else. A change is one read of the name, of both kinds, and a write.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.domain import changes, names
from secretset.domain.changes import Change
from secretset.domain.names import PASSWORD, Key, Kind
from secretset.domain.sealing import Place, PublicKey, kid_of
from secretset.domain.set_view import SetView
from secretset.kube import errors, pages, paths
from secretset.kube.client import JSON_PATCH

_ATTEMPTS = 8
_DESCRIPTION_MAX = 1024  # characters; design.md, "SecretSet"
_TOO_MANY = f"a set has at most {names.KEYS_MAX} keys"
_PAUSE = 0.05  # seconds at most before the second attempt; longer with each


@dataclass(frozen=True, kw_only=True, repr=False)
class Wanted:
    """What a user wants of a set; None leaves what is there.

    Attributes:
        values: by key; of a pull secret, its ``password``.
        sealed: the same of values that were sealed elsewhere, for their place.
        region: of a new set; one that is there must live in it.
        overwrite: keys, and metadata, that are not named are to be gone.
    """

    values: Mapping[str, bytes] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    overwrite: bool = False
    host: str | None = None
    username: str | None = None
    service_accounts: Sequence[str] | None = None

    def change(self, sealed: Mapping[str, str]) -> Change:
        """The same with sealed values, and without a region: that has to be found out."""
        return Change(
            sealed=sealed,
            overwrite=self.overwrite,
            description=self.description,
            metadata=self.metadata,
            host=self.host,
            username=self.username,
            service_accounts=self.service_accounts,
        )


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A set as it is stored now.

    Attributes:
        created: it was not there before.
        changed: something was written.
    """

    view: SetView
    created: bool
    changed: bool


async def put(session: Session, key: Key, wanted: Wanted, *, uid: str | None = None) -> Stored:
    """Create a set, or merge into the one that is there.

    Args:
        session: the user's.
        key: of the set.
        wanted: of it.
        uid: of the set that the user saw, and means; empty: it is to be a new one; None: whatever is there.

    Raises:
        Refused: ``INVALID``, ``OTHER_KIND``, ``REGION_FIXED``, ``REGION_INVALID``, ``NO_KEYS``, ``NO_ORGANIZATION``,
            ``CONFLICT``: somebody else changed the same keys at the same time; with a uid also ``ABSENT``, and
            ``CONFLICT``: there is one already, or another one.
        KubeError: the hub refused or did not answer.
    """
    check(session, key, wanted)
    change = wanted.change(await _all_sealed(session, key, wanted))
    _check_size(key, {}, change)
    for attempt in range(_ATTEMPTS):
        found = await _found(session, key)
        if uid is not None and uid != ("" if found is None else found["metadata"]["uid"]):
            raise _another(key, found)
        if found is None:
            try:
                return await _created(session, key, wanted, change)
            except errors.AlreadyExists:
                await _pause(attempt)
                continue
        if "deletionTimestamp" in found["metadata"]:
            raise Refused(Why.CONFLICT, f"Secret set '{key.name}' is being deleted. Please retry.")
        _check_size(key, found, change)
        region = await _region_of(session, key, found, wanted.region)
        return await _patched(session, key, found, replace(change, region=region))
    raise _conflict(key)


async def unset(session: Session, key: Key, keys: Sequence[str]) -> SetView:
    """Take keys out of a set.

    Raises:
        Refused: ``ABSENT``, ``LAST_KEY`` or ``CONFLICT``.
        KubeError: the hub refused or did not answer.
    """
    found = (await get(session, key)).obj
    there = (found.get("spec") or {}).get("data") or {}
    for name in keys:
        if name not in there:
            shown = f"'{name}'" if names.is_valid_key(name) else "of that name"
            raise Refused(Why.ABSENT, f"{key} has no key {shown}")
    if not there.keys() - set(keys):
        raise _last_key()
    return (await _patched(session, key, found, Change(removed=keys))).view


async def delete(session: Session, view: SetView) -> None:
    """Delete the set that was seen, and no other of its name.

    Raises:
        Refused: ``ABSENT``, or ``CONFLICT``: another one has its name now.
        KubeError: the hub refused or did not answer.
    """
    try:
        await session.client.delete(paths.custom(view.key), uid=view.uid)
    except errors.NotFound:
        raise absent(view.key.namespace, view.name) from None
    except errors.Conflict:
        raise _conflict(view.key) from None


async def get(session: Session, key: Key) -> SetView:
    """One set.

    Raises:
        Refused: ``ABSENT``, also for what can be no name.
        KubeError: the hub refused or did not answer.
    """
    found = await _read(session, key)
    if found is None:
        raise absent(key.namespace, key.name)
    return SetView.parse(key.kind, found)


async def find(session: Session, namespace: str, name: str) -> SetView:
    """The set of a name, of whichever kind; the older one, should there be two.

    Raises:
        Refused: ``ABSENT``.
        KubeError: the hub refused or did not answer.
    """
    views = await asyncio.gather(*(_view(session, Key(kind, namespace, name)) for kind in Kind))
    there = sorted((view for view in views if view is not None), key=lambda view: view.created_at)
    if not there:
        raise absent(namespace, name)
    return there[0]


async def list_sets(
    session: Session, namespace: str | None, *, kind: Kind | None = None, region: str | None = None
) -> list[SetView]:
    """Sets by organization and name, without their objects: all of them may be long.

    Args:
        session: the user's.
        namespace: the organization; None: all of them.
        kind: None: both.
        region: None: all.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    views = [
        SetView.parse(each, obj, keep=False)
        for each in ([kind] if kind else list(Kind))
        async for obj in pages.items(session.client, paths.custom_list(each, namespace))
    ]
    return sorted((view for view in views if region in {None, view.region}), key=lambda view: view.key[1:])


def check(session: Session, key: Key, wanted: Wanted) -> None:
    """Refuse what the API server, or the operator, would refuse.

    Raises:
        Refused: ``INVALID``; values are not shown, nor what may be one by mistake.
    """
    problem = _problem(session, key, wanted)
    if problem:
        raise Refused(Why.INVALID, problem)


def sealed(key: Key, values: Mapping[str, bytes], *, installation: str, public: PublicKey) -> dict[str, str]:
    """Values, each sealed for its place."""
    return {
        name: public.seal(
            Place(installation=installation, kind=key.kind, namespace=key.namespace, name=key.name, key=name), value
        )
        for name, value in values.items()
    }


def absent(namespace: str, name: str) -> Refused:
    """What is said of a set that is not there, or that the user may not see."""
    shown = f"'{name}'" if names.is_valid_name(name) else "of that name"
    return Refused(Why.ABSENT, f"there is no set {shown} in '{namespace}'")


async def _all_sealed(session: Session, key: Key, wanted: Wanted) -> dict[str, str]:
    if not (wanted.values or wanted.sealed):
        return {}
    keys = await session.public_keys()
    published = {each.kid for each in keys.keys}
    for name, text in wanted.sealed.items():
        if kid_of(text) not in published:
            raise Refused(Why.INVALID, f"the value of '{name}' is not sealed for a key of this hub: seal it again")
    newest = keys.keys[0].public  # there is one: public_keys
    return {**wanted.sealed, **sealed(key, wanted.values, installation=keys.installation, public=newest)}


def _problem(session: Session, key: Key, wanted: Wanted) -> str:
    if not names.NAMESPACE_PATTERN.fullmatch(key.namespace):
        return "the organization is no name of a namespace"
    if not names.is_valid_name(key.name):
        return "the name of a set is 3 to 63 lower-case letters, digits, '-' and '.'"
    if wanted.description is not None and len(wanted.description) > _DESCRIPTION_MAX:
        return f"the description is longer than {_DESCRIPTION_MAX:,} characters"
    keys = [*wanted.values, *wanted.sealed]
    if key.kind is Kind.IMAGE_PULL_SECRET and set(keys) - {PASSWORD}:
        return "a pull secret has a password only"
    if len(keys) > names.KEYS_MAX:
        return _TOO_MANY
    found = (_problem_of_value(session, key.kind, name, wanted.values.get(name, b"")) for name in keys)
    return next(filter(None, found), "")


def _problem_of_value(session: Session, kind: Kind, name: str, value: bytes) -> str:
    if not names.is_valid_key(name):
        return f"a key is {names.KEY_RULE}"
    if kind is Kind.SECRET_SET and name in session.reserved:
        return f"the key '{name}' is reserved"
    if len(value) > names.VALUE_MAX_BYTES:
        return f"the value of '{name}' is longer than {names.VALUE_MAX_BYTES:,} bytes"
    return ""


async def _found(session: Session, key: Key) -> dict[str, Any] | None:
    """What bears the name: nothing, or an object of this kind."""
    own, other = await asyncio.gather(_read(session, key), _read(session, key._replace(kind=key.kind.twin)))
    if own is None and other is not None:
        raise Refused(Why.OTHER_KIND, f"'{key.name}' is the name of an {key.kind.twin} already")
    return own


async def _created(session: Session, key: Key, wanted: Wanted, change: Change) -> Stored:
    if not change.sealed:
        raise absent(key.namespace, key.name)
    if key.kind is Kind.IMAGE_PULL_SECRET and not (wanted.host and wanted.username):
        raise Refused(Why.INVALID, "a new pull secret needs a host and a username")
    region = await session.region_for(key.namespace, wanted.region)
    body = changes.created(key, replace(change, region=region))
    try:
        obj = await session.client.create(paths.custom_list(key.kind, key.namespace), body)
    except errors.NotFound:
        raise Refused(Why.NO_ORGANIZATION, f"there is no organization '{key.namespace}'") from None
    except errors.Invalid:
        raise _refused(key) from None
    return Stored(view=SetView.parse(key.kind, obj), created=True, changed=True)


async def _patched(session: Session, key: Key, found: Mapping[str, Any], change: Change) -> Stored:
    """Send the patch, again where somebody else changed something else meanwhile."""
    seen = changes.touched(key.kind, found, change)
    for attempt in range(_ATTEMPTS):
        operations = changes.patch(key, found, change)
        if not operations:
            return Stored(view=SetView.parse(key.kind, found), created=False, changed=False)
        try:
            obj = await session.client.patch(paths.custom(key), operations, JSON_PATCH)
            return Stored(view=SetView.parse(key.kind, obj), created=False, changed=True)
        except errors.NotFound:
            raise absent(key.namespace, key.name) from None
        except errors.Conflict:  # the API server itself tried again, five times
            failed = False
        except errors.Invalid:  # one of the tests failed, or a rule of the CRD
            failed = True
        await _pause(attempt)
        again = await _read(session, key)
        if again is None:
            raise absent(key.namespace, key.name)
        if changes.touched(key.kind, again, change) != seen:
            raise _conflict(key)
        if change.removed and not (again["spec"].get("data") or {}).keys() - set(change.removed):
            raise _last_key()
        if failed and again["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]:
            raise _refused(key)
        found = again
    raise _conflict(key)


async def _view(session: Session, key: Key) -> SetView | None:
    found = await _read(session, key)
    return None if found is None else SetView.parse(key.kind, found)


async def _read(session: Session, key: Key) -> dict[str, Any] | None:
    """An object, from a quorum; None if there is none, or if that can be no name."""
    if not (names.is_valid_name(key.name) and names.NAMESPACE_PATTERN.fullmatch(key.namespace)):
        return None
    try:
        found: dict[str, Any] = await session.client.get(paths.custom(key))
    except errors.NotFound:
        return None
    return found


async def _region_of(session: Session, key: Key, found: Mapping[str, Any], wanted: str | None) -> str | None:
    """The region to be written into a set that is there and has none; None: there is nothing to be written.

    Raises:
        Refused: it has another (``REGION_FIXED``), or may not have that one (``REGION_INVALID``).
    """
    view = (found.get("status") or {}).get("region") or (found.get("spec") or {}).get("region")
    if wanted and not view:
        return await session.region_for(key.namespace, wanted)
    if wanted and wanted != view:
        # seeds/003, regionMismatch.
        raise Refused(
            Why.REGION_FIXED, f"Secret already exists in region '{view}'. Cannot change region to '{wanted}'."
        )
    return None


def _check_size(key: Key, found: Mapping[str, Any], change: Change) -> None:
    """The rules of the CRD for all keys together."""
    if key.kind is not Kind.SECRET_SET:
        return
    there = {} if change.overwrite else (found.get("spec") or {}).get("data") or {}
    after = {**{name: entry.get("sealed") or "" for name, entry in there.items()}, **change.sealed}
    if len(after) > names.KEYS_MAX:
        raise Refused(Why.INVALID, _TOO_MANY)
    if sum(map(len, after.values())) > names.SEALED_MAX_BYTES:
        raise Refused(
            Why.INVALID,
            f"the sealed values of {key} would be longer than {names.SEALED_MAX_BYTES:,} bytes together: split the set",
        )


def _last_key() -> Refused:
    return Refused(Why.LAST_KEY, "Cannot remove the last key; delete the set instead.")


def _conflict(key: Key) -> Refused:
    # seeds/003, 409.
    return Refused(Why.CONFLICT, f"Secret set '{key.name}' was modified concurrently. Please retry.")


def _another(key: Key, found: Mapping[str, Any] | None) -> Refused:
    if found is None:
        return absent(key.namespace, key.name)
    return Refused(Why.CONFLICT, f"Nothing was stored: there is a set '{key.name}' already. Look at it first")


def _refused(key: Key) -> Refused:
    return Refused(Why.INVALID, f"the hub refuses {key}: its rules for sets may be newer than this program's")


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311  (so that writers do not meet again)
