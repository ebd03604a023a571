"""Values: opened, or read from the source Secrets of the set's own namespace; only for as long as a pass needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secretset.controller.context import Context
from secretset.domain import names, payload, reasons
from secretset.domain.fingerprint import digest
from secretset.domain.models import ImagePullSecretSpec, SecretValue
from secretset.domain.observed import decode_data
from secretset.domain.record import SetRecord, Spec, values_of
from secretset.domain.sealing import Place, Unopened
from secretset.kube import errors, paths


async def content_of(context: Context, record: SetRecord, spec: Spec) -> tuple[dict[str, bytes], str]:
    """Read everything that the managed Secret must hold.

    Returns:
        The data of the Secret, and the hash of what it was made from.

    Raises:
        Problem: a value is missing, forbidden, too large or cannot be opened.
    """
    if not isinstance(spec, ImagePullSecretSpec):
        payload.check_keys(spec.data, context.config.reserved_keys)
    values, versions = await _values(context, record, values_of(spec))
    payload.check_sizes(values)
    if isinstance(spec, ImagePullSecretSpec):
        values = {names.DOCKER_KEY: payload.docker_config(spec.host, spec.username, values["password"])}
    parts = [part for name in sorted(versions) for part in (name, *versions[name])]
    return values, digest(record.spec_inputs, *parts)


async def _values(
    context: Context, record: SetRecord, wanted: Mapping[str, SecretValue]
) -> tuple[dict[str, bytes], dict[str, tuple[str, str]]]:
    namespace = record.key.namespace
    sources: dict[str, dict[str, bytes]] = {}
    versions: dict[str, tuple[str, str]] = {}
    values: dict[str, bytes] = {}
    for key, value in sorted(wanted.items()):
        if value.value_from is None:
            place = Place(context.installation.id, record.key.kind, namespace, record.key.name, key)
            values[key] = await _opened(context, place, value.sealed or "")
            continue
        ref = value.value_from.secret_key_ref
        if ref.name not in sources:
            sources[ref.name], versions[ref.name] = await _source(context, namespace, ref.name)
        if ref.key not in sources[ref.name]:
            raise reasons.source_missing(namespace, ref.name, ref.key)
        values[key] = sources[ref.name][ref.key]
    return values, versions


async def _opened(context: Context, place: Place, text: str) -> bytes:
    """Open one sealed value; lets others work meanwhile, since a set may have hundreds."""
    await asyncio.sleep(0)
    try:
        return await context.sealing.opened(place, text)
    except Unopened as error:
        raise reasons.unseal_failed(place.key, error.why) from None
    except errors.Forbidden:
        raise reasons.permission_denied("hub", "get", "secrets", context.config.namespace) from None


async def _source(context: Context, namespace: str, name: str) -> tuple[dict[str, bytes], tuple[str, str]]:
    """Read one source Secret, from a quorum."""
    try:
        obj = await context.hub.get(paths.secrets(namespace, name))
    except errors.NotFound:
        raise reasons.source_missing(namespace, name) from None
    except errors.Forbidden:
        raise reasons.permission_denied("hub", "get", "secrets", namespace) from None
    meta = obj["metadata"]
    if (meta.get("labels") or {}).get(names.LABEL_SOURCE) != "true":
        raise reasons.source_forbidden(namespace, name)
    return decode_data(obj), (meta["uid"], meta["resourceVersion"])
