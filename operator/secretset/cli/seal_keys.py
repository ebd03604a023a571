"""Where `secretset seal` gets keys from: a file, a folder, or the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from secretset.cli.hub import CommandError, on_hub
from secretset.cli.key_changes import entries_in
from secretset.controller import kek, key_store
from secretset.domain import names
from secretset.domain.sealing import Opener
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, SECRET_NAME, PublicKeys, Unusable
from secretset.kube import contexts, errors
from secretset.kube.client import Client

T = TypeVar("T")

_FILE_MAX = 4 * 2**20  # bytes; a ConfigMap holds at most one MiB


@dataclass(frozen=True, kw_only=True)
class Hub:
    """The hub as the options name it.

    Attributes:
        kubeconfig: path; None: as kubectl finds it.
        context: of the kubeconfig; None: its current one.
        operator_namespace: where the operator has its keys.
    """

    kubeconfig: Path | None
    context: str | None
    operator_namespace: str

    def __post_init__(self) -> None:
        if not names.NAMESPACE_PATTERN.fullmatch(self.operator_namespace):
            raise CommandError("--operator-namespace is no namespace")

    def namespace(self) -> str:
        """The namespace that the context names; empty if it names none."""
        return contexts.namespace(str(self.kubeconfig) if self.kubeconfig else None, self.context)

    def public_keys(self) -> PublicKeys:
        """Read what the operator publishes.

        Raises:
            CommandError: nothing is published there.
            typer.Exit: the hub could not be asked, or refused; that was said.
        """
        place = f"ConfigMap '{self.operator_namespace}/{CONFIG_MAP_NAME}'"
        found = self._asked(lambda client: key_store.published(client, self.operator_namespace))
        if found is None:
            raise CommandError(f"there are no public keys in the {place}: does the operator run on this hub?")
        return _usable(found, place)

    def opener(self, folder: Path | None, kek_files: Sequence[Path]) -> Opener:
        """Read the private keys, as those may who look after the operator.

        Args:
            folder: where they are instead of on the hub.
            kek_files: key-encryption keys that they may be wrapped with.

        Raises:
            CommandError: there are none, or one of them cannot be used.
            typer.Exit: the hub could not be asked, or refused; that was said.
        """
        try:
            keks = kek.load(kek_files)
        except errors.ConfigError as error:
            raise CommandError(str(error)) from None
        if folder is not None:
            return asyncio.run(_opener(entries_in(folder)[0], keks))
        entries = self._asked(lambda client: key_store.read(client, self.operator_namespace))
        if not entries:
            raise CommandError(f"there are no sealing keys in the Secret '{self.operator_namespace}/{SECRET_NAME}'")
        return asyncio.run(_opener(entries, keks))

    def _asked(self, work: Callable[[Client], Awaitable[T]]) -> T:
        return on_hub("seal", self.kubeconfig, self.context, work)


def from_file(path: Path) -> PublicKeys:
    """Read `keys.json`, or the ConfigMap that holds it, as YAML or JSON.

    Raises:
        CommandError: it is neither.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_MAX).decode()
    except OSError as error:
        raise CommandError(f"'{path}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    try:
        return _usable(PublicKeys.parse(_document(text)), f"file '{path}'")
    except Unusable:
        raise CommandError(
            f"'{path}' holds no public keys of an operator: make it with `secretset seal --print-public-key`, or from "
            f"the ConfigMap {CONFIG_MAP_NAME}"
        ) from None


async def _opener(entries: Mapping[str, bytes], keks: Sequence[kek.KeyEncryption]) -> Opener:
    held = await key_store.unlocked(entries, keks)
    for kid, why in sorted(held.unusable.items()):
        raise CommandError(f"the sealing key {kid} cannot be used: {why}")
    return Opener(key.private for key in held.keys.values())


def _document(text: str) -> str:
    """What stands in the ConfigMap, if the text is one."""
    try:
        found: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    if not isinstance(found, dict) or found.get("kind") != "ConfigMap":
        return text
    data = found.get("data")
    document = data.get(DOCUMENT) if isinstance(data, dict) else None
    return document if isinstance(document, str) else ""


def _usable(keys: PublicKeys, place: str) -> PublicKeys:
    if not keys.held:
        raise CommandError(
            f"the {place} says that the operator does not have the private key of the newest one: nobody could open "
            "what is sealed. Platform team: secretset keys restore"
        )
    if keys.current is None:
        raise CommandError(f"the {place} holds no key yet: the operator makes one when it starts")
    return keys
