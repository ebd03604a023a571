"""What one set waited for, stage by stage: what a user's watch saw, laid beside the API server's audit log."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api import Seen
from bench.audit import Tally, Write
from bench.objects import Name
from bench.rows import Row

NEW = (
    "created → the operator's first write arrives (its watch, its reads)",
    "→ its last write is answered",
    "→ seen (the watch's way back)",
)
CHANGED = (
    "changed → the write of the Secret arrives (its watch, its reads)",
    "→ the patch arrives",
    "→ the patch is answered",
    "→ seen (the watch's way back)",
)
Spans = tuple[float, ...]


def until_ready(name: Name, seen: Seen, tally: Tally) -> Spans:
    """Seconds of each stage of `NEW`, of one set."""
    secret, status = _first(tally.of("secrets"), name), _first(tally.of("secretsets/status"), name)
    return (secret.begun - seen.answered, status.at - secret.begun, seen.at - status.at)


def until_patched(name: Name, seen: Sequence[Seen], tally: Tally) -> list[Spans]:
    """Seconds of each stage of `CHANGED`, of changes of one set that came one after the other.

    Args:
        name: the set; one Deployment uses it.
        seen: the changes.
        tally: the operator's writes meanwhile.

    Raises:
        ValueError: there was not one write of the Secret, and one of the Deployment, for each.
    """
    done = [write for write in tally.writes if write.code < 300 and write.namespace == name.target]
    secrets = [write for write in done if write.resource == "secrets" and write.name == name.name]
    patches = [write for write in done if write.resource == "deployments"]
    return [
        (secret.begun - one.answered, patch.begun - secret.begun, patch.at - patch.begun, one.at - patch.at)
        for one, secret, patch in zip(seen, secrets, patches, strict=True)
    ]


def shares(part: str, labels: Sequence[str], spans: Sequence[Spans]) -> list[Row]:
    """A row for each stage: its mean, and its share of the whole.

    Args:
        part: of the benchmark.
        labels: of the stages.
        spans: of each sample, in seconds.
    """
    sums = [sum(stage) for stage in zip(*spans, strict=True)]
    return [
        Row(
            part=part,
            what=f"of it, mean: {label}",
            unit="ms",
            ours=taken / len(spans) * 1e3,
            note=f"{taken / sum(sums):.0%} of the whole",
        )
        for label, taken in zip(labels, sums, strict=True)
    ]


def _first(writes: Sequence[Write], name: Name) -> Write:
    return next(write for write in writes if write.name == name.name and write.code < 300)
