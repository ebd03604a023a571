"""The operator is killed at a write, or does not see a workload in time: still once, and nobody is forgotten."""

from __future__ import annotations

import itertools
import time

from harness import env_from, eventually, value_from
from harness.alone import NAMES, Alone, Crashing, put_secret
from harness.between import Match, When, write_of
from harness.rolling import READY_DELAY, change, counts, metric, restart_times, restarted, settled, workload


def test_killed_at_writes_of_a_wave(lone: Alone) -> None:
    """`make chaos` has every write."""
    with lone.operator() as process:
        crashing = Crashing(lone, process)
        org = crashing.org
        patch = write_of("PATCH", "/deployments/two")
        points: tuple[tuple[When, Match], ...] = (("lost", put_secret(org)), ("before", patch), ("lost", patch))
        for when, match in points:
            crashing.at(when, match=match)
            crashing.change("a")
            assert crashing.ends_well()


def test_answers_that_are_lost(lone: Alone) -> None:
    """The operator does not know what became of its request."""
    with lone.operator() as process:
        crashing = Crashing(lone, process)
        org = crashing.org
        status = write_of("PUT", "/secretsets/app/status")
        for match in (put_secret(org), write_of("PATCH", "/deployments/two"), status):
            crashing.at("lost", match=match, kill=False)
            crashing.change("a")
            assert crashing.ends_well()


def test_workloads_that_are_created_in_the_moment_of_a_write(lone: Alone) -> None:
    with lone.operator():
        org, between = lone.org(), lone.between
        org.source()
        org.deployment("web", env_from("app"))
        org.secret_set()
        settled(org, revision=1, bound=1)
        listed = f"/namespaces/{org.regional}/deployments"
        between.hold("deployments")
        org.deployment("before", env_from("app"))  # and the operator does not hear of it
        trap = between.at(
            lambda method, url: method == "GET" and url.path.endswith(listed) and "watch" not in url.query,
            "meanwhile",
            lambda: org.deployment("after", env_from("app")),  # when the write has been made
        )
        change(org, "a")
        assert trap.sprung.wait(15)
        eventually(lambda: restarted(org, "web", "before") == {"web": 1, "before": 1}, "the restarts")
        wave = (org.managed() or {})["metadata"]["annotations"]["secretset.dev/wave"]
        uids = {name: (org.get("deployment", name, namespace=org.regional) or {})["metadata"]["uid"] for name in TRIO}
        assert {name for name in TRIO if uids[name] in wave} == {"web", "before"}
        between.release("deployments")
        settled(org, revision=2, bound=3)
        time.sleep(1.0)
        assert restarted(org, *TRIO) == {"web": 1, "before": 1, "after": 0}
        assert [org.generation(name) for name in TRIO] == [2, 2, 1]


TRIO = ("web", "before", "after")


def test_rollouts_of_all_sets_of_a_region_share_its_budget(lone: Alone) -> None:
    with lone.operator("--max-rollouts", "1") as process:
        org = lone.org()
        org.source()
        for name in NAMES:
            workload(org, "Deployment", name, env_from(f"set-{name}"), pod_notes={READY_DELAY: "1s"})
            org.secret_set(f"set-{name}", data={"A": value_from("src", "a")})
        for name in NAMES:
            settled(org, revision=1, bound=1, name=f"set-{name}")
        change(org, "a")
        eventually(lambda: all(org.status(f"set-{name}").get("revision") == 2 for name in NAMES))
        assert sum(counts(org, f"set-{name}").get("restarting", 0) for name in NAMES) >= 2
        for name in NAMES:
            settled(org, revision=2, bound=1, name=f"set-{name}")
        assert restarted(org, *NAMES) == dict.fromkeys(NAMES, 1)
        for name in ("secretset_restarts_total", "secretset_restart_waves_total"):
            assert metric(process, name) == len(NAMES)
        times = [at for at, _ in restart_times(org)]
        assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times))
