"""What `secretset reseal` does on the hub. Imported when it runs, not for its help."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from secretset.cli.hub import FAILED, CommandError
from secretset.cli.key_changes import check_published, read_entries, read_installation
from secretset.cli.sealed_sets import SealedSet, sealed_set, sealed_sets
from secretset.cli.set_views import counted
from secretset.controller import kek, key_store
from secretset.domain import json_patch
from secretset.domain.last_applied import ANNOTATION
from secretset.domain.reasons import unseal_failed
from secretset.domain.sealing import Opener, Place, PublicKey, Unopened
from secretset.domain.sealing_keys import newest, usage
from secretset.kube import errors, paths
from secretset.kube.client import JSON_PATCH, Client

_ATTEMPTS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds, before a hub that failed is asked again
_FAILED_IN_A_ROW = 3
"""After so many sets for which the hub failed at each attempt, no more are tried."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is asked for.

    Attributes:
        namespace: the organization; None for all.
        names: of the sets there; empty for all.
        operator_namespace: where the keys are.
        folder: where they are instead, one file each.
        kek_files: what they may be wrapped with.
        dry_run: open, and change nothing.
    """

    namespace: str | None
    names: frozenset[str]
    operator_namespace: str
    folder: Path | None
    kek_files: tuple[Path, ...]
    dry_run: bool


@dataclass(kw_only=True)
class Outcome:
    """What came of it: counts, and sentences about what did not succeed."""

    kid: str
    values: int = 0
    sets: int = 0
    current: int = 0
    failed: int = 0
    applied: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code."""
        return FAILED if self.problems else 0

    def summary(self, *, dry_run: bool) -> str:
        """What happened, in words."""
        done = "would be sealed anew" if dry_run else "sealed anew"
        what = f"{counted(self.values, 'value')} in {counted(self.sets, 'set')}"
        text = f"{what} {done} for {self.kid}; {self.current} were already"
        if self.failed:
            text += f"; {self.failed} could not be opened"
        if self.applied:
            text += (
                f". {self.applied} of the sets were made with `kubectl apply`: seal them anew in their manifests too, "
                "or the next apply brings the old text back"
            )
        return text + "."

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values for machines."""
        return {
            "kid": self.kid,
            "values": self.values,
            "sets": self.sets,
            "current": self.current,
            "failed": self.failed,
            "applied": self.applied,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class _Keys:
    installation: str
    opener: Opener
    current: PublicKey


async def resealed(hub: Client, scope: Scope) -> Outcome:
    """Reseal what is asked for.

    Raises:
        CommandError: there are no keys, or no set of a name.
        KubeError: the hub refused or did not answer.
    """
    keys = await _keys(hub, scope)
    outcome = Outcome(kid=keys.current.kid)
    todo = []
    seen: set[str] = set()
    async for each in sealed_sets(hub, scope.namespace):
        if not scope.names or each.key.name in scope.names:
            seen.add(each.key.name)
            todo.append(each.key)
            # Objects are read once more when it is their turn: all of them at once may be too much to hold.
    missing = sorted(scope.names - seen)
    if missing:
        raise CommandError(f"no set with sealed values in namespace '{scope.namespace}' is called {', '.join(missing)}")
    failed, todo_left = 0, len(todo)
    console = Console(stderr=True)
    for key in track(todo, "Resealing", console=console, disable=not sys.stderr.isatty(), transient=True):
        todo_left -= 1
        failed = 0 if await _reseal(hub, keys, key, outcome, dry_run=scope.dry_run) else failed + 1
        if failed == _FAILED_IN_A_ROW and todo_left:
            outcome.problems.append(f"the hub fails for one set after another: {todo_left} more were not looked at")
            break
    return outcome


async def _keys(hub: Client, scope: Scope) -> _Keys:
    """The keys, from where only the platform team may read; what is published proves nothing, it only has to agree."""
    here = await read_installation(hub, scope.operator_namespace)
    entries, place = await read_entries(hub, scope.operator_namespace, scope.folder)
    check_published(entries, await key_store.published(hub, scope.operator_namespace), place)
    held = await key_store.unlocked(entries, kek.load(scope.kek_files))
    current = newest(held.keys.values())
    if current is None or held.unusable:
        kid, why = next(iter(held.unusable.items()))
        raise CommandError(f"the key {kid} cannot be used: {why}")
    opener = Opener(key.private for key in held.keys.values())
    return _Keys(installation=here.id, opener=opener, current=current.private.public)


async def _reseal(hub: Client, keys: _Keys, key: Any, outcome: Outcome, *, dry_run: bool) -> bool:
    """Reseal one set; starts over when it changes meanwhile, and after a pause when the hub fails.

    Returns:
        Whether the hub answered at the last attempt.

    Raises:
        KubeError: of a kind that another attempt does not mend.
    """
    path = paths.custom(key)
    failure: errors.KubeError | None = None
    for attempt in range(_ATTEMPTS):
        if failure is not None:
            asked_for = failure.retry_after if isinstance(failure, errors.ApiError) else 0.0
            await asyncio.sleep(min(max(asked_for, _FIRST_PAUSE * 2 ** (attempt - 1)), _LONGEST_PAUSE))
            failure = None
        try:
            each = sealed_set(key.kind, await hub.get(path))
            texts, problems, current = _sealed_anew(keys, each)
            if texts and not dry_run:
                await hub.patch(path, _patch(each, texts), JSON_PATCH)
        except errors.NotFound:
            return True  # deleted meanwhile
        except (errors.Invalid, errors.Conflict):
            continue  # RFC 6902: a failed test fails the patch; the API server calls that 422
        except errors.Untrusted:
            raise
        except (errors.Throttled, errors.ServerError, errors.Unreachable) as error:
            failure = error
            continue
        outcome.values += len(texts)
        outcome.sets += bool(texts)
        outcome.current += current
        outcome.failed += len(problems)
        outcome.problems += [f"{key}: {problem}" for problem in problems]
        notes = each.obj["metadata"].get("annotations") or {}
        outcome.applied += bool(texts) and ANNOTATION in notes
        return True
    why = str(failure) if failure else "it changes all the time, or its schema is not ours"
    outcome.problems.append(f"{key}: it could not be changed: {why}")
    return failure is None


def _sealed_anew(keys: _Keys, each: SealedSet) -> tuple[dict[str, str], list[str], int]:
    """New texts by key; sentences about values that do not open; how many are current already."""
    texts: dict[str, str] = {}
    problems: list[str] = []
    current = 0
    for key, text in sorted(each.values.items()):
        if usage([text]) == ((keys.current.kid, 1),):
            current += 1
            continue
        place = Place(keys.installation, *each.key, key)
        try:
            texts[key] = keys.current.seal(place, keys.opener.open(place, text))
        except Unopened as error:
            problems.append(unseal_failed(key, error.why).message)
    return texts, problems, current


def _patch(each: SealedSet, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Exchange texts, if everything is still as it was read."""
    meta = each.obj["metadata"]
    patch = [
        json_patch.test("/metadata/uid", meta["uid"]),
        json_patch.test("/metadata/resourceVersion", meta["resourceVersion"]),
    ]
    for key, text in texts.items():
        patch.append(json_patch.test(each.path(key), each.values[key]))
        patch.append(json_patch.replace(each.path(key), text))
    return patch
