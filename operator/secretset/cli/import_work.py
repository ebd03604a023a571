"""`secretset import` once its options are understood: read all, refuse or go on, then tell, print or store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from secretset.actions.session import Session
from secretset.cli import import_run, seal_keys
from secretset.cli.hub import NO_HUB, CommandError, fail, show
from secretset.cli.import_run import Row, Target
from secretset.cli.import_sources import Sources
from secretset.cli.options import OutputFormat
from secretset.cli.seal_values import check_name
from secretset.cli.session import HubOptions, on_session
from secretset.kube import credentials, errors
from secretset.kube.client import Client


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where it comes from, as the options say.

    Attributes:
        env_files: paths.
        secrets: names of Secrets.
        selector: of the labels of more Secrets.
        context: of the cluster with the Secrets; None: the hub, unless there is a kubeconfig.
        kubeconfig: of that cluster; None: the hub's.
        namespace: of the Secrets, and of SealedSecrets that name none.
        sealed: paths of manifests.
        private_keys: paths of the private keys for these.
    """

    env_files: Sequence[str]
    secrets: Sequence[str]
    selector: str | None
    context: str | None
    kubeconfig: Path | None
    namespace: str
    sealed: Sequence[str]
    private_keys: Sequence[Path]

    @property
    def in_cluster(self) -> bool:
        """Whether a cluster is to be read."""
        return bool(self.secrets or self.selector)

    def read_files(self, sources: Sources) -> None:
        """Read what is in files.

        Raises:
            CommandError: one cannot be read.
        """
        if self.env_files:
            sources.env_files(self.env_files)
        sources.sealed_secrets(self.sealed, self.private_keys, self.namespace)

    async def read_cluster(self, hub: Client, hub_kubeconfig: Path | None, sources: Sources) -> None:
        """Read what is in a cluster.

        Raises:
            CommandError: it is not there, or may not be read.
            KubeError: the cluster did not answer.
        """
        if not self.in_cluster:
            return
        if self.context is None and self.kubeconfig is None:
            await sources.secrets(hub, self.namespace, self.secrets, self.selector)
            return
        file = self.kubeconfig or hub_kubeconfig
        found = await credentials.load(str(file) if file else None, self.context)
        try:
            async with Client(found, name="source") as client:
                await sources.secrets(client, self.namespace, self.secrets, self.selector)
        except errors.KubeError as error:
            raise CommandError(f"the cluster with the Secrets could not be asked: {error}", NO_HUB) from None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is to become of it.

    Attributes:
        dry_run: only tell.
        manifests: only print them.
        public_key: a file with the keys to print them with; None: the hub is asked.
        timeout: seconds to wait for what is stored; None: do not wait.
        output: the form of what is told.
    """

    dry_run: bool
    manifests: bool
    public_key: Path | None
    timeout: float | None
    output: OutputFormat


def run(options: HubOptions, origin: Origin, sources: Sources, name: str | None, target: Target, result: Result) -> int:
    """Do it.

    Args:
        options: the hub.
        origin: what to read.
        sources: what reads it.
        name: of the one set that is to be made, if it is given.
        target: where it goes.
        result: what is to become of it.

    Returns:
        The exit code.

    Raises:
        typer.Exit: something is in the way, or a cluster could not be asked; that was said.
    """

    async def work(session: Session) -> tuple[list[Row], int]:
        await origin.read_cluster(session.client, options.kubeconfig, sources)
        sources.check()
        if result.manifests:
            await _print(session, sources, target, result.public_key)
            return [], 0
        if result.dry_run:
            return await import_run.foretell(session, sources.items, target)
        return await import_run.store(session, sources.items, target, result.timeout)

    try:
        if name is not None:
            check_name(name, target.organization)
        origin.read_files(sources)
        if result.public_key is not None and not origin.in_cluster:
            sources.check()
            keys = seal_keys.from_file(result.public_key)
            typer.echo(import_run.manifests(sources.items, target, keys), nl=False)
            return 0
    except CommandError as error:
        fail("import", str(error), error.code)
    rows, code = on_session("import", options, work)
    if rows:
        show(result.output, import_run.FORESEEN if result.dry_run else import_run.COLUMNS, rows)
    return code


async def _print(session: Session, sources: Sources, target: Target, public_key: Path | None) -> None:
    """Print manifests; what the keys of another hub are for, this one is not asked about."""
    if public_key is None:
        keys, regions = await session.public_keys(), await import_run.regions_of(session, sources.items, target)
    else:
        keys, regions = seal_keys.from_file(public_key), {}
    typer.echo(import_run.manifests(sources.items, target, keys, regions), nl=False)
