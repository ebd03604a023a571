"""Values: opened, or read from the source Secrets of the set's own namespace; only for as long as a pass needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secretset.controller.context import Context
from secretset.controller.source_reads import Source
from secretset.domain import names, payload, reasons
from secretset.domain.fingerprint import digest
from secretset.domain.models import ImagePullSecretSpec, SecretValue
from secretset.domain.record import SetRecord, Spec, values_of
from secretset.domain.sealing import Place, Unopened
from secretset.kube import errors


async def content_of(context: Context, record: SetRecord, spec: Spec, *, asked: float) -> tuple[dict[str, bytes], str]:
    """Read everything that the managed Secret must hold.

    Args:
        context: where the sources are.
        record: of the set.
        spec: of the set.
        asked: when the pass was asked for last (`WorkQueue.asked`).

    Returns:
        The data of the Secret, and the hash of what it was made from.

    Raises:
        Problem: a value is missing, forbidden, too large or cannot be opened.
    """
    if not isinstance(spec, ImagePullSecretSpec):
        payload.check_keys(spec.data, context.config.reserved_keys)
    values, versions = await _values(context, record, values_of(spec), asked)
    payload.check_sizes(values)
    if isinstance(spec, ImagePullSecretSpec):
        values = {names.DOCKER_KEY: payload.docker_config(spec.host, spec.username, values[names.PASSWORD])}
    parts = [part for name in sorted(versions) for part in (name, *versions[name])]
    return values, digest(record.spec_inputs, *parts)


async def _values(
    context: Context, record: SetRecord, wanted: Mapping[str, SecretValue], asked: float
) -> tuple[dict[str, bytes], dict[str, tuple[str, str]]]:
    namespace = record.key.namespace
    sources: dict[str, Source] = {}
    values: dict[str, bytes] = {}
    for key, value in sorted(wanted.items()):
        if value.value_from is None:
            place = Place(context.installation.id, record.key.kind, namespace, record.key.name, key)
            values[key] = await _opened(context, place, value.sealed or "")
            continue
        ref = value.value_from.secret_key_ref
        if ref.name not in sources:
            sources[ref.name] = await context.source_reads.read(namespace, ref.name, asked=asked)
        if ref.key not in sources[ref.name].values:
            raise reasons.source_missing(namespace, ref.name, ref.key)
        values[key] = sources[ref.name].values[ref.key]
    return values, {name: source.version for name, source in sources.items()}


async def _opened(context: Context, place: Place, text: str) -> bytes:
    """Open one sealed value; lets others work meanwhile, since a set may have hundreds."""
    await asyncio.sleep(0)
    try:
        return await context.sealing.opened(place, text)
    except Unopened as error:
        raise reasons.unseal_failed(place.key, error.why) from None
    except errors.Forbidden:
        raise reasons.permission_denied("hub", "get", "secrets", context.config.namespace) from None
