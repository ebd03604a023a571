"""What the soak tells: a line for each look while it lasts, and at the end a table, in Markdown and as JSON."""

from __future__ import annotations

import datetime
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from soak.probe import Sample
from soak.verdict import Allowance, Verdict, judge

FOLDER = Path(__file__).resolve().parents[2] / "build" / "soak"
_HEAD = f"{'time':>7} {'PSS':>7} {'malloc':>7} {'fds':>5} {'sock':>5} {'hub':>4} {'far':>4} {'tasks':>6} {'thr':>4}"
_HEAD += f" {'objects':>9} {'series':>7} {'sets':>5} {'passes':>8} {'errors':>7} {'cpu s':>7}"
_TYPE = Allowance(300, 0.05)

RULE = (
    "A measure grows if its median over the last quarter is above that over the second one by more than what is "
    "allowed, and it rises beyond chance over these three quarters (Mann-Kendall, 1 %). The first quarter is for "
    "warming up. The slope is Theil-Sen's, extrapolated; within what is allowed it is told, and proves nothing."
)


def heading() -> str:
    """Above the lines."""
    return _HEAD


def line(sample: Sample) -> str:
    """One look."""
    m, c = sample.measures, sample.context
    minutes, seconds = divmod(int(sample.at), 60)
    return (
        f"{minutes:>4}:{seconds:02} {m['memory (PSS), MiB']:>7.1f} {m['memory by malloc, MiB']:>7.1f} "
        f"{m['file descriptors']:>5.0f} {m['sockets']:>5.0f} {m['connections: hub']:>4.0f} "
        f"{m['connections: far']:>4.0f} {m['tasks']:>6.0f} {m['threads']:>4.0f} {m['objects']:>9.0f} "
        f"{m['series of metrics']:>7.0f} {c['sets']:>5.0f} {c['passes']:>8.0f} {c['errors']:>7.0f} {c['cpu']:>7.1f}"
    )


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Of all measures."""
    times = [sample.at for sample in samples]
    return [judge(name, times, [sample.measures[name] for sample in samples]) for name in samples[0].measures]


def suspects(samples: Sequence[Sample]) -> list[Verdict]:
    """The types of objects that become more and more, the worst first: where to look if the objects do."""
    times = [sample.at for sample in samples]
    names = set.intersection(*(set(sample.types) for sample in samples))
    found = [judge(name, times, [sample.types[name] for sample in samples], _TYPE) for name in names]
    return sorted((each for each in found if not each.flat), key=lambda each: each.before - each.after)


def markdown(
    samples: Sequence[Sample], *, settings: dict[str, object], troubles: dict[str, int], wrong: list[str]
) -> str:
    """The summary."""
    last, first = samples[-1].context, samples[0].context
    minutes = samples[-1].at / 60
    rows = [
        f"| {v.name} | {v.before:.1f} | {v.after:.1f} | {v.least:.1f} to {v.most:.1f} | {v.allowed:.1f} "
        f"| {v.per_day:+.1f} | {'yes' if v.rises else 'no'} | {'flat' if v.flat else '**GROWS**'} |"
        for v in verdicts(samples)
    ]
    done = ", ".join(f"{name}: {count}" for name, count in {**troubles, **_work(first, last)}.items())
    grown = [f"- objects of type `{v.name}`: {v.before:.0f} → {v.after:.0f}" for v in suspects(samples)]
    return "\n".join(
        [
            f"# Soak of {minutes:.0f} minutes, {datetime.datetime.now(datetime.UTC).date()}",
            "",
            f"{len(samples)} samples, Python {platform.python_version()}, {json.dumps(settings)}. {done}.",
            "",
            RULE,
            "",
            "| measure | median of the 2nd quarter | of the 4th | range | allowed | slope in 24 h | rises | verdict |",
            "|---|---:|---:|---:|---:|---:|---|---|",
            *rows,
            "",
            *(["Types of objects that grow:", "", *grown, ""] if grown else []),
            *(f"**Wrong: {each}.**\n" for each in wrong),
        ]
    )


def save(samples: Sequence[Sample], text: str, facts: dict[str, object]) -> None:
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "summary.md").write_text(text)
    document = {
        **facts,
        "verdicts": [{**asdict(each), "flat": each.flat} for each in verdicts(samples)],
        "samples": [asdict(sample) for sample in samples],
    }
    (FOLDER / "samples.json").write_text(json.dumps(document, indent=1) + "\n")


def keep_log(path: Path) -> None:
    """Keep the operator's log, which goes with its control plane."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, FOLDER / "operator.log")


def _work(first: dict[str, float] | object, last: dict[str, float] | object) -> dict[str, int]:
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    return {name: round(last[name] - first[name]) for name in ("passes", "errors", "restarts", "writes")}
