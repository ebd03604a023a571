"""What `secretset import` does with what it found: tell, print or store it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from secretset.actions import sets
from secretset.actions.errors import Refused
from secretset.actions.session import Session
from secretset.actions.sets import Stored, Wanted
from secretset.cli import seal_files
from secretset.cli.hub import FAILED, NO_HUB, CommandError, told
from secretset.cli.set_changes import foreseen
from secretset.cli.set_options import tell
from secretset.cli.waiting import Deadline, until_delivered
from secretset.domain.imports import Item
from secretset.domain.names import Key
from secretset.domain.reasons import Reason
from secretset.domain.sealing_keys import PublicKeys
from secretset.domain.set_view import SetView
from secretset.kube import errors

Row = dict[str, Any]

COLUMNS = {
    "NAME": lambda row: row["name"],
    "KIND": lambda row: row["kind"],
    "FROM": lambda row: row["from"],
    "KEYS": lambda row: ", ".join(row["keys"]),
    "DONE": lambda row: row["done"],
    "REGION": lambda row: row.get("region") or "-",
    "STATUS": lambda row: row.get("status") or "-",
}
FORESEEN = {title: cell for title, cell in COLUMNS.items() if title != "STATUS"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where it goes.

    Attributes:
        organization: a namespace of the hub.
        region: of new sets; None: the default.
        overwrite: keys of sets that are there, and are not imported, are to be gone.
    """

    organization: str
    region: str | None
    overwrite: bool

    def key(self, item: Item) -> Key:
        """The set that an item becomes."""
        return Key(item.kind, self.organization, item.name)

    def wanted(self, item: Item) -> Wanted:
        """What is wanted of it."""
        return Wanted(
            values=item.values,
            region=self.region,
            overwrite=self.overwrite,
            host=item.host,
            username=item.username,
        )


def manifests(
    items: Sequence[Item], target: Target, keys: PublicKeys, regions: Mapping[str, str | None] = MappingProxyType({})
) -> str:
    """The manifests of items, with sealed values.

    Args:
        items: to print.
        target: where they go.
        keys: to seal with.
        regions: by name, where it is not the target's.

    Raises:
        CommandError: one is too large.
    """
    assert keys.current is not None  # noqa: S101  (whoever reads keys sees to that)
    texts = []
    for item in items:
        key = target.key(item)
        sealed = sets.sealed(key, item.values, installation=keys.installation, public=keys.current)
        region = regions.get(item.name, target.region)
        spec = {"region": region, "host": item.host, "username": item.username}
        texts.append(seal_files.new(key.kind, key.namespace, key.name, sealed, spec))
    text = "---\n".join(texts)
    seal_files.check_limits(text, tell)
    return text


async def regions_of(session: Session, items: Sequence[Item], target: Target) -> dict[str, str | None]:
    """Where sets live, or would: their own region if they are there, else the one for new ones; by name.

    Raises:
        Refused: such a region cannot be.
        KubeError: the hub did not answer.
    """
    default = await session.region_for(target.organization, target.region)
    found: dict[str, str | None] = {}
    for item in items:
        try:
            found[item.name] = (await sets.get(session, target.key(item))).region or default
        except (Refused, errors.Forbidden):  # it is not there, or who prints may only seal
            found[item.name] = default
    return found


async def foretell(session: Session, items: Sequence[Item], target: Target) -> tuple[list[Row], int]:
    """Find out what would be done, without doing it.

    Returns:
        A row for each item, and the exit code.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    rows, code = [], 0
    for item in items:
        key = target.key(item)
        row = _row(item)
        try:
            sets.check(session, key, target.wanted(item))
            manifests([item], target, await session.public_keys())
            view = await foreseen(session, key, target.region)
            region = view.region if view else await session.region_for(key.namespace, target.region)
            row |= {"done": "would be changed" if view else "would be created", "region": region}
            if view is not None and target.overwrite:
                row["removed"] = sorted({each.name for each in view.keys} - item.values.keys())
        except (Refused, CommandError) as error:
            row |= {"done": "would be refused", "message": str(error)}
            tell(f"{item.origin}: {error}")
            code = FAILED
        rows.append(row)
    return rows, code


async def store(
    session: Session,
    items: Sequence[Item],
    target: Target,
    timeout: float | None,  # noqa: ASYNC109
) -> tuple[list[Row], int]:
    """Make or change the sets, all of them first, and then wait for each.

    Args:
        session: the user's.
        items: to store.
        target: where.
        timeout: seconds to wait for all of them together; None: do not wait.

    Returns:
        A row for each item, whatever became of it, and the exit code: of the worst that happened; ``NO_HUB`` only if
        nothing was stored.
    """
    rows: list[Row] = []
    stored: list[tuple[Item, Row, Stored]] = []
    codes = [0]
    for item in items:
        row = _row(item)
        rows.append(row)
        try:
            each = await sets.put(session, target.key(item), target.wanted(item))
        except (Refused, errors.KubeError) as error:
            refused = isinstance(error, Refused)
            said = str(error) if isinstance(error, Refused) else told(error)
            row |= {"done": "refused" if refused else "failed", "message": said}
            tell(f"{item.origin}: {said}")
            codes.append(FAILED if refused else NO_HUB)
            continue
        row |= {"done": "created" if each.created else "changed" if each.changed else "unchanged"}
        row |= _standing(each.view)
        stored.append((item, row, each))
    deadline = Deadline(timeout or 0)
    for item, row, each in stored if timeout is not None else ():
        try:
            row.update(_standing(await until_delivered(session, each.view, timeout=deadline.left())))
        except CommandError as error:
            codes.append(error.code)
            tell(str(error))
            row.update(await _seen_last(session, item, each.view.key))
    return rows, _worst(codes, stored=bool(stored))


def _worst(codes: Sequence[int], *, stored: bool) -> int:
    """The one exit code for all that happened."""
    if NO_HUB in codes and not stored:
        return NO_HUB
    return FAILED if {FAILED, NO_HUB} & set(codes) else max(codes)


async def _seen_last(session: Session, item: Item, key: Key) -> Row:
    """How a set stands that is not ready, with advice where its old Secret is in its way."""
    try:
        view = await sets.get(session, key)
    except Refused:
        return {"status": "gone"}
    except errors.KubeError:
        return {}  # as it was when it was stored
    if view.reason == Reason.NAME_CONFLICT:
        tell(
            f"{key.name}: if that Secret is what was imported ({item.origin}), then either import it under another "
            "NAME and bind workloads to that, or delete it: the operator looks again within a minute"
        )
    return _standing(view)


def _standing(view: SetView) -> Row:
    found = {"region": view.region, "status": view.phase.value, "reason": view.reason or None}
    return {name: value for name, value in found.items() if value is not None}


def _row(item: Item) -> Row:
    return {"name": item.name, "kind": item.kind.value, "from": item.origin, "keys": sorted(item.values)}
