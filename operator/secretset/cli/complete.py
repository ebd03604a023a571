"""What a shell proposes when Tab is pressed: names from the hub, asked for shortly, and nothing where that fails.

`secretset --install-completion` sets it up for a shell; kubectl finds `kubectl_complete-secretset` by itself.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from secretset.kube.client import Client

SECONDS = 2.0
"""For how long the hub is waited for."""
_NO_FILES = 4  # cobra's ShellCompDirectiveNoFileComp

Names = Callable[["Client", str], AsyncIterable[str]]


def set_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Sets and pull secrets of the organization."""
    return _asked(ctx, incomplete, _sets)


def key_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys of the set that is named before."""
    name = str(ctx.params.get("name") or "")

    async def keys(client: Client, organization: str) -> AsyncIterable[str]:
        from secretset.domain.names import Key, Kind
        from secretset.kube import paths

        obj = await client.get(paths.custom(Key(Kind.SECRET_SET, organization, name)))
        for key in obj["spec"].get("data") or ():
            yield key

    return _asked(ctx, incomplete, keys)


def organizations(ctx: typer.Context, incomplete: str) -> list[str]:
    """Namespaces of the hub."""

    def listed(client: Client, _: str) -> AsyncIterable[str]:
        from secretset.kube import paths

        return _list(client, paths.NAMESPACES)

    return _asked(ctx, incomplete, listed)


def region_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Regions of the hub."""

    def listed(client: Client, _: str) -> AsyncIterable[str]:
        from secretset.kube import paths

        return _list(client, paths.REGIONS)

    return _asked(ctx, incomplete, listed)


def account_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Accounts of `secretset tokens`."""

    def listed(client: Client, organization: str) -> AsyncIterable[str]:
        from secretset.domain import names
        from secretset.kube import paths

        return _list(client, paths.core("serviceaccounts", organization), {"labelSelector": names.LABEL_ROLE})

    return _asked(ctx, incomplete, listed)


def context_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Contexts of the kubeconfig."""
    from secretset import telemetry
    from secretset.kube import contexts

    telemetry.configure_logging(level="critical", form="text")
    path = ctx.params.get("kubeconfig")
    return [name for name in contexts.all_names(str(path) if path else None) if name.startswith(incomplete)]


def kubectl() -> None:
    """Entry point of `kubectl_complete-secretset`, which kubectl asks for what may follow `kubectl secretset …`.

    It answers as kubectl's own commands do: a proposal on each line, and then that the shell is to propose no files.
    """
    from secretset.cli.main import app

    words = ["secretset", *(sys.argv[1:] or [""])]
    # As the script for bash asks (`secretset --show-completion bash`).
    os.environ |= {
        "HOME": os.environ.get("HOME", "/"),
        "_SECRETSET_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    sys.argv = ["secretset"]
    try:
        app(prog_name="secretset")
    finally:
        typer.echo(f":{_NO_FILES}")


async def _sets(client: Client, organization: str) -> AsyncIterable[str]:
    from secretset.domain.names import Kind
    from secretset.kube import paths

    for kind in Kind:
        async for name in _list(client, paths.custom_list(kind, organization)):
            yield name


async def _list(client: Client, path: str, query: dict[str, str] | None = None) -> AsyncIterable[str]:
    from secretset.kube import pages
    from secretset.kube.client import METADATA_ONLY

    async for obj in pages.items(client, path, query, accept=METADATA_ONLY):
        yield obj["metadata"]["name"]


def _asked(ctx: typer.Context, incomplete: str, names: Names) -> list[str]:
    """Ask the hub of a command line for names.

    Whatever goes wrong, who pressed Tab is told nothing: they see what is wrong when they run the command.
    """
    # Imported before the time begins to run: that takes a good part of a second.
    import asyncio

    from secretset import telemetry
    from secretset.cli import session
    from secretset.kube import credentials, pages

    del session, credentials, pages
    telemetry.configure_logging(level="critical", form="text")
    try:
        found = asyncio.run(asyncio.wait_for(_read(ctx.params, names), SECONDS))
    except Exception:  # noqa: BLE001
        return []
    return sorted(name for name in found if name.startswith(incomplete))


async def _read(options: dict[str, Any], names: Names) -> list[str]:
    from secretset.cli.session import MANAGER, HubOptions
    from secretset.domain.names import AT_HUB
    from secretset.kube import credentials
    from secretset.kube.client import Client

    path = options.get("kubeconfig")
    hub = HubOptions(kubeconfig=path, context=options.get("context"), namespace=options.get("namespace"))
    found = await credentials.load(str(path) if path else None, hub.context)
    async with Client(found, name=AT_HUB, timeout=SECONDS, manager=MANAGER) as client:
        return [name async for name in names(client, hub.organization)]
