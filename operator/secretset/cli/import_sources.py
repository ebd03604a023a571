"""Where `secretset import` has sets from: `.env` files, Secrets of a cluster, SealedSecrets in files.

All that is in the way is gathered, and told at once. Values are held while the command runs, and shown nowhere.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from secretset.cli import env_files, seal_files
from secretset.cli.hub import FAILED, NO_HUB, CommandError
from secretset.cli.seal_values import Values
from secretset.domain import imports, kubeseal, names
from secretset.domain.imports import Item, KeyRules, Unfit
from secretset.domain.kubeseal import SealedSecret, Unopened, Unusable
from secretset.domain.names import Kind
from secretset.kube import errors, pages, paths
from secretset.kube.client import Client

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_KEY_FILE_MAX = 4 * 2**20  # bytes
_PEM = b"-----BEGIN "


class Sources:
    """What is to be imported, as it comes in.

    Args:
        rules: for keys.
        name: of the one set that is made; empty: each has the name that it had.
        tell: shows a note to the user.

    Attributes:
        items: the sets to make.
    """

    def __init__(self, rules: KeyRules, name: str, tell: Callable[[str], None]) -> None:
        self.items: list[Item] = []
        self._rules = rules
        self._name = name
        self._tell = tell
        self._origins: list[str] = []
        self._problems: list[str] = []
        self._seen: set[str] = set()

    def env_files(self, files: Sequence[str]) -> None:
        """Take the entries of `.env` files, all into one set.

        Raises:
            CommandError: one of them cannot be read, or breaks a rule.
        """
        values = Values(Kind.SECRET_SET, self._tell, reserved=self._rules.reserved)
        known = {key: self._rules.becomes(key) for key in self._rules.named}
        for path in files:
            env_files.warn_unless_ignored(path, self._tell)
            values.from_env_file(
                path,
                option="--from-env",
                binary="`secretset seal --from-file KEY=PATH`",
                without_reserved=True,
                renamed=known,
            )
        self._seen |= values.seen
        taken = KeyRules(reserved=self._rules.reserved, allow_empty=self._rules.allow_empty)
        origin = ", ".join(files)
        self._take(origin, lambda: imports.from_secret(origin, self._name, names.TYPE_OPAQUE, values.content, taken))

    def sealed_secrets(self, files: Sequence[str], key_files: Sequence[Path], namespace: str) -> None:
        """Open the SealedSecrets of files.

        Args:
            files: manifests; `-` is standard input.
            key_files: private keys of their controller.
            namespace: of those that name none.

        Raises:
            CommandError: a file cannot be read, or has none.
        """
        keys = [key for path in key_files for key in _private_keys(path)]
        for path in files:
            found = [obj for obj in _objects(_documents(path)) if kubeseal.is_sealed_secret(obj)]
            if not found:
                raise CommandError(f"'{path}' has no SealedSecrets")
            for obj in found:
                self._sealed_secret(path, obj, keys, namespace)

    async def secrets(self, client: Client, namespace: str, wanted: Sequence[str], selector: str | None) -> None:
        """Read Secrets of a cluster.

        Args:
            client: of that cluster.
            namespace: that they are in.
            wanted: names of Secrets.
            selector: of labels, for more; what programs keep for themselves is left out of these.

        Raises:
            CommandError: they may not be read, or are named wrongly. One that is not there is told by `check`.
            KubeError: the cluster did not answer.
        """
        try:
            for name in wanted:
                try:
                    self._secret(await client.get(paths.secrets(namespace, name)))
                except errors.NotFound:
                    self._origins.append(f"Secret {namespace}/{name}")
                    self._problems.append(f"{self._origins[-1]}: there is no such Secret")
            if selector is not None:
                query = {"labelSelector": selector}
                listed = [obj async for obj in pages.items(client, paths.secrets(namespace), query)]
                self._selected(listed, namespace, wanted)
        except ValueError:
            raise CommandError("--from-secret or --from-namespace is no name of Kubernetes") from None
        except errors.Invalid:
            raise CommandError("--selector is no selector of labels, such as app=shop,tier!=test", NO_HUB) from None
        except errors.Forbidden:
            raise CommandError(
                f"you may not read Secrets in the namespace '{namespace}', and importing them needs that", NO_HUB
            ) from None

    def check(self) -> None:
        """Refuse all of it if something is in the way.

        Raises:
            CommandError: names everything.
        """
        problems = list(self._problems)
        if self._name and len(self._origins) > 1:
            problems.append(f"NAME is for one set, and there are {len(self._origins)}: " + ", ".join(self._origins))
        twice = [name for name, count in Counter(item.name for item in self.items).items() if count > 1]
        problems += [f"two of them would be '{name}': import one of them alone, with another NAME" for name in twice]
        unused = sorted(self._rules.named - self._seen)
        if unused and not self._problems:
            problems.append("nothing has the key " + ", ".join(f"'{key}'" for key in unused))
        if problems:
            raise CommandError("nothing was imported\n" + "\n".join(f"  {each}" for each in problems), FAILED)
        for item in self.items:
            for key in item.no_text():
                self._tell(
                    f"note: {item.origin}: the value of '{key}' is no text. It arrives byte for byte in a file, but a "
                    "container that takes it as an environment variable may not start"
                )

    def _sealed_secret(self, path: str, obj: Mapping[str, Any], keys: Sequence[RSAPrivateKey], namespace: str) -> None:
        try:
            sealed = SealedSecret.parse(obj)
        except Unusable as error:
            self._origins.append(f"a SealedSecret in '{path}'")
            self._problems.append(f"{self._origins[-1]}: {error}")
            return
        origin = f"SealedSecret {sealed.namespace or namespace}/{sealed.name}"
        self._seen |= {*sealed.sealed, *sealed.plain, *sealed.templated}
        self._take(origin, lambda: self._opened(origin, sealed, keys, sealed.label(namespace)))

    def _opened(self, origin: str, sealed: SealedSecret, keys: Sequence[RSAPrivateKey], label: bytes) -> Item:
        data: dict[str, bytes] = {}
        closed: list[str] = []
        for key, text in sealed.sealed.items():
            if self._rules.becomes(key) is not None:
                try:
                    data[key] = kubeseal.open_value(text, keys, label)
                except Unopened:
                    closed.append(f"'{key}'")
        problems = [
            f"its template makes '{key}' of other values, which only its controller does: --skip-key {key}, and set it "
            "afterwards"
            for key in sealed.templated
            if self._rules.becomes(key) is not None
        ]
        if closed:
            problems.append(
                f"no key of --recovery-private-key opens {', '.join(closed)}: another key is needed, or it was sealed "
                "for another name or namespace (--from-namespace, if its manifest names none)"
            )
        data |= {key: text.encode() for key, text in sealed.plain.items()}
        if problems:
            raise Unfit(*problems)
        return imports.from_secret(origin, self._name or sealed.name, sealed.type, data, self._rules)

    def _selected(self, listed: Sequence[Mapping[str, Any]], namespace: str, wanted: Sequence[str]) -> None:
        taken = 0
        for obj in listed:
            name, kind = obj["metadata"]["name"], obj.get("type")
            managed = (obj["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER
            if managed or kind in imports.NO_SETS:
                why = "the operator delivered it" if managed else imports.NO_SETS[str(kind)]
                self._tell(f"note: Secret {namespace}/{name} is left out: {why}")
            elif name not in wanted:
                self._secret(obj)
                taken += 1
        if not taken:
            raise CommandError(f"--selector selects no Secrets to import in the namespace '{namespace}'")

    def _secret(self, obj: Mapping[str, Any]) -> None:
        meta = obj["metadata"]
        origin = f"Secret {meta['namespace']}/{meta['name']}"
        data = {key: base64.b64decode(text) for key, text in (obj.get("data") or {}).items()}
        self._seen |= data.keys()
        name, kind = self._name or meta["name"], str(obj.get("type") or names.TYPE_OPAQUE)
        self._take(origin, lambda: imports.from_secret(origin, name, kind, data, self._rules))

    def _take(self, origin: str, make: Callable[[], Item]) -> None:
        self._origins.append(origin)
        try:
            self.items.append(make())
        except Unfit as error:
            self._problems += [f"{origin}: {problem}" for problem in error.problems]


def _private_keys(path: Path) -> list[RSAPrivateKey]:
    try:
        with path.open("rb") as file:
            raw = file.read(_KEY_FILE_MAX)
    except OSError as error:
        raise CommandError(f"--recovery-private-key: '{path}' cannot be read: {error.strerror}") from None
    try:
        if raw.lstrip().startswith(_PEM):
            return [kubeseal.private_key(raw)]
        return kubeseal.private_keys(obj for obj in yaml.safe_load_all(raw) if obj is not None)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise CommandError(f"--recovery-private-key: '{path}' is neither PEM nor YAML") from None
    except Unusable as error:
        raise CommandError(f"--recovery-private-key: '{path}': {error}") from None


def _documents(path: str) -> list[Any]:
    text = seal_files.read(path)
    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CommandError(f"'{path}'{line}: not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise CommandError(f"'{path}' is not YAML") from None


def _objects(documents: Sequence[Any]) -> Iterator[Any]:
    """The objects of documents, and those of lists in them."""
    for each in documents:
        items = each.get("items") if isinstance(each, dict) else None
        yield from _objects(items) if isinstance(items, list) else [each]
