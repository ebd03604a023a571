"""Exec plugins: real programs that make credentials, and what becomes of those that do not."""

import asyncio
import contextlib
import datetime
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from secretset.kube import credentials, exec_plugin
from secretset.kube.credentials import Credentials
from secretset.kube.errors import ConfigError, KubeError, NoCredentials
from unit.kubeconfigs import AUTHORITY, CLIENT, V1, Program, b64, document, load, text

CANARY = "cAnArYcAnArY"


def answer(*, expires: float | None = None, **status: Any) -> str:
    if expires is not None:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=expires)
        status["expirationTimestamp"] = until.isoformat().replace("+00:00", "Z")
    return json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status or {"token": CANARY}})


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def soon(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    for name, value in seconds.items():
        monkeypatch.setattr(exec_plugin, name, value)


async def failure(found: Credentials) -> str:
    with pytest.raises(NoCredentials) as raised:
        await found.authorize()
    assert isinstance(raised.value, KubeError)
    return str(raised.value)


async def test_a_token_is_made_once_for_all_requests(program: Program) -> None:
    found = await program.gives(answer(expires=3600, token=CANARY)).load()
    assert program.runs == 0  # nothing runs before it is needed
    headers = await asyncio.gather(*(found.authorize() for _ in range(5)))
    assert headers == [f"Bearer {CANARY}"] * 5
    assert await found.authorize() == f"Bearer {CANARY}"
    assert program.runs == 1


async def test_without_an_expiry_it_is_kept(program: Program) -> None:
    found = await program.gives(answer(token=CANARY)).load()
    assert await found.authorize() == await found.authorize()
    assert program.runs == 1


async def test_it_is_made_anew_before_it_expires(program: Program) -> None:
    found = await program.gives(answer(expires=1.0, token="first")).load()
    assert await found.authorize() == "Bearer first"
    program.gives(answer(expires=3600, token="second"))
    await asyncio.sleep(0.6)  # half of so short a life; a minute before the end of a long one
    await renewed(found)
    assert await found.authorize() == "Bearer second"
    assert program.runs == 2


async def renewed(found: Credentials) -> None:
    """Ask once, and wait for the run that this began beside."""
    await found.authorize()
    assert found.plugin is not None
    await asyncio.wait_for(asyncio.gather(*found.plugin._runs.values()), 5)


async def test_nobody_waits_for_a_renewal_while_there_is_something_valid(tmp_path: Path) -> None:
    first = Program(tmp_path).gives(answer(expires=4.0, token="first"))
    found = await first.load()
    await found.prepare()
    slow = Program(tmp_path, "sleep 60")  # in its place
    await asyncio.sleep(2.1)
    before = time.monotonic()
    assert [await found.authorize() for _ in range(5)] == ["Bearer first"] * 5
    await found.prepare()
    assert time.monotonic() - before < 0.5
    while slow.runs < 2:  # noqa: ASYNC110  (another process writes it)
        await asyncio.sleep(0.02)
    assert await found.authorize() == "Bearer first"
    assert slow.runs == 2, "one at a time"
    await asyncio.sleep(2.0 - (time.monotonic() - before))
    with pytest.raises(TimeoutError):  # there is nothing valid any more: now it waits
        await asyncio.wait_for(found.authorize(), 0.2)
    assert slow.runs == 2


async def test_a_defect_beside_the_requests_is_told_without_its_text(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await program.gives(answer(token="first")).load()
    assert found.plugin is not None

    def broken(_: bytes) -> exec_plugin.Issued:
        raise OSError(CANARY)

    monkeypatch.setattr(found.plugin, "_read", broken)
    with structlog.testing.capture_logs() as logs:
        assert await failure(found) == f"exec plugin '{program.path}' could not be run"
    assert logs[0]["error"].startswith("OSError at test_exec_plugin.py:")
    assert CANARY not in str(logs)


async def test_what_is_valid_still_is_used_while_the_program_fails(program: Program) -> None:
    found = await program.gives(answer(expires=2.0, token="first")).load()
    assert await found.authorize() == "Bearer first"
    program.gives("{}")
    await asyncio.sleep(1.1)
    assert await found.authorize() == "Bearer first"
    await asyncio.sleep(1.0)
    assert "no usable ExecCredential" in await failure(found)


async def test_a_failure_is_remembered_for_a_moment(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    soon(monkeypatch, _PAUSE=0.3)
    found = await program.gives("{}").load()
    for _ in range(3):
        await failure(found)
    assert program.runs == 1
    program.gives(answer(token=CANARY))
    await asyncio.sleep(0.4)
    assert await found.authorize() == f"Bearer {CANARY}"


async def test_what_the_server_rejects_is_made_anew_but_not_at_once(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch, _PAUSE=0.3)
    found = await program.gives(answer(token=CANARY)).load()
    assert found.plugin is not None
    found.plugin.rejected(await found.plugin.issued())
    old = await found.plugin.issued()
    assert program.runs == 1
    await asyncio.sleep(0.4)
    found.plugin.rejected(old)
    new = await found.plugin.issued()
    found.plugin.rejected(old)
    assert await found.plugin.issued() is new
    assert program.runs == 2


USELESS: dict[str, str] = {
    "nothing": "",
    "no JSON": CANARY,
    "a list": "[]",
    "no status": json.dumps({"apiVersion": V1, "kind": "ExecCredential"}),
    "another version": answer(token=CANARY).replace("/v1", "/v1beta1"),
    "another kind": answer(token=CANARY).replace("ExecCredential", CANARY),
    "an empty token": answer(token=""),
    "a token that is a number": answer(token=7),
    "a token of two lines": answer(token=f"{CANARY}\nX-Other: 1"),
    "a certificate without a key": answer(clientCertificateData=CLIENT.certificate.decode()),
    "a key without a certificate": answer(token=CANARY, clientKeyData=CLIENT.key.decode()),
    "a certificate that is none": answer(clientCertificateData=CANARY, clientKeyData=CANARY),
    "an expiry that is none": answer(token=CANARY, expirationTimestamp=CANARY),
    "an expiry without a zone": answer(token=CANARY, expirationTimestamp="2030-01-01T00:00:00"),
}


@pytest.mark.parametrize("name", USELESS)
async def test_an_answer_that_is_none_is_told_without_its_content(name: str, program: Program) -> None:
    found = await program.gives(USELESS[name]).load()
    assert await failure(found) == f"exec plugin '{program.path}' gave no usable ExecCredential"


async def test_what_has_expired_already_is_not_used(program: Program) -> None:
    found = await program.gives(answer(expires=-1, token=CANARY)).load()
    assert await failure(found) == f"exec plugin '{program.path}' gave credentials that have expired"


BAD: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "fails": ("failed", lambda _: [f"echo {CANARY}", f"echo {CANARY} >&2", "exit 3"]),
    "is killed": ("failed", lambda _: ["kill -9 $$"]),
    "floods": ("wrote more than 1 MiB", lambda _: [f"while :; do echo {CANARY * 100}; done"]),
    "hangs": ("did not end within 0.5 s", lambda _: ["sleep 60"]),
    "ends its output and hangs": ("did not end within 0.5 s", lambda _: ["exec >&-", "sleep 60"]),
    "leaves a child": ("did not end within 0.5 s", lambda folder: [f"sleep 60 & echo $! > {folder}/child"]),
    "asks": ("gave no usable", lambda _: ["read -r line", 'echo "$line"']),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_program_that_fails_is_told_and_ended(name: str, tmp_path: Path) -> None:
    says, body = BAD[name]
    program = Program(tmp_path, f"echo $$ > {tmp_path}/pid", *body(tmp_path))
    found = await program.load()
    assert found.plugin is not None
    found.plugin._deadline = 0.5 if "0.5" in says else 10.0
    with structlog.testing.capture_logs() as logs:
        before = time.monotonic()
        assert (await failure(found)).startswith(f"exec plugin '{program.path}' {says}")
        assert time.monotonic() - before < 5
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert CANARY not in str(logs)
    assert len(pids(tmp_path)) == 1 + (name == "leaves a child")
    for pid in pids(tmp_path):
        assert not await alive(pid)


async def alive(pid: int) -> bool:
    for _ in range(50):
        if not runs(pid):
            return False
        await asyncio.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    """Whether a process is there; one that ended and that nobody has asked about yet is not."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(folder: Path) -> list[int]:
    """What a program wrote down of itself and its child."""
    files = (folder / name for name in ("pid", "child"))
    return [int(file.read_text()) for file in files if file.exists() and file.read_text()]


async def test_a_program_that_cannot_be_started_is_told(program: Program) -> None:
    found = await program.load()
    program.path.write_text("#!/nowhere\n")
    assert await failure(found) == f"exec plugin '{program.path}' could not be started"


async def test_a_request_that_gives_up_ends_no_run(tmp_path: Path) -> None:
    program = Program(tmp_path, "sleep 0.4", '/bin/cat "$0.json"').gives(answer(token=CANARY))
    found = await program.load()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(found.authorize(), 0.1)
    assert await found.authorize() == f"Bearer {CANARY}"
    assert program.runs == 1


async def test_the_end_of_the_operator_ends_the_program(tmp_path: Path) -> None:
    program = Program(tmp_path, f"echo $$ > {tmp_path}/pid", "sleep 60")
    found = await program.load()
    waiting = asyncio.ensure_future(found.authorize())
    while not pids(tmp_path):  # noqa: ASYNC110  (another process writes it)
        await asyncio.sleep(0.02)
    assert found.plugin is not None
    for run in found.plugin._runs.values():
        run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not await alive(pids(tmp_path)[0])


@pytest.mark.parametrize("steps", range(8))
def test_the_operator_ends_also_in_the_moment_that_it_starts_one(steps: int, program: Program) -> None:
    async def end() -> None:
        found = await program.load()
        waiting = asyncio.ensure_future(found.authorize())
        for _ in range(steps):
            await asyncio.sleep(0)
        assert not waiting.done()

    running = threading.Thread(target=asyncio.run, args=(end(),), daemon=True)
    running.start()
    running.join(10)
    assert not running.is_alive()


async def test_the_program_is_told_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_OWN", "kept")
    lines = [
        'printf "%s|" "$@" > "$0.args"',
        'printf "%s|%s|%s" "$ROLE" "$OPERATOR_OWN" "$KUBERNETES_EXEC_INFO" > "$0.env"',
    ]
    program = Program(tmp_path, *lines, '/bin/cat "$0.json"').gives(answer(token=CANARY))
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    cluster = {"tls-server-name": "api", "extensions": [extension], "proxy-url": "http://proxy:1"}
    env = [{"name": "ROLE", "value": "a b"}]
    found = await program.load(cluster, args=["get token", "$HOME"], env=env, provideClusterInfo=True)
    await found.authorize()
    assert (tmp_path / "plugin.args").read_text() == "get token|$HOME|"
    role, own, info = (tmp_path / "plugin.env").read_text().split("|")
    assert (role, own) == ("a b", "kept")
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://us.example:6443/",
                "tls-server-name": "api",
                "certificate-authority-data": b64(AUTHORITY.certificate),
                "proxy-url": "http://proxy:1",
                "config": {"audience": "x"},
            },
        },
    }


async def test_an_allowed_name_is_found_by_the_operators_own_path(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(program.path.parent), prepend=os.pathsep)
    program.gives(answer(token=CANARY).replace("/v1", "/v1beta1"))
    section = {"apiVersion": f"{V1}beta1", "command": "plugin", "interactiveMode": "IfAvailable"}
    found = await load(text(user={"exec": section}), "plugin")
    assert await found.authorize() == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    "command",
    ["other", "./plugin", "../plugin", "/bin/../bin/sh", "//bin/sh", "plugin -x", "", None, ["plugin"], "x" * 200],
)
async def test_only_the_very_text_that_is_allowed_is_run(command: Any, program: Program) -> None:
    with pytest.raises(ConfigError, match="exec plugin"):
        await load(text(user=program.user(command=command)), "plugin", str(program.path))
    with pytest.raises(ConfigError, match=r"which the operator is not allowed to run \(--exec-plugins\)"):
        await load(text(user=program.user()), "plugin")


REFUSED: dict[str, dict[str, Any]] = {
    "'apiVersion' of its exec plugin": {"apiVersion": "client.authentication.k8s.io/v1alpha1"},
    "wants to ask a person": {"interactiveMode": "Always"},
    "'interactiveMode' of its exec plugin": {"interactiveMode": CANARY},
    "'interactiveMode' of its exec plugin is": {"interactiveMode": [CANARY]},
    "'args' of its exec plugin": {"args": [CANARY, 7]},
    "'args' of its exec plugin are not": {"args": [f"{CANARY}\0"]},
    "'env' of its exec plugin": {"env": {"A": CANARY}},
    "'env' of its exec plugin is not a": {"env": [{"name": f"A={CANARY}", "value": ""}]},
    "'env' of its exec plugin is not a list": {"env": [{"name": "A", "value": 7}]},
    "is not installed": {"command": "plugin-that-is-not-there"},
    "an exec plugin and other credentials": {"token": CANARY},
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_is_not_supported_is_refused_by_name(why: str, program: Program) -> None:
    user = program.user(**{name: value for name, value in REFUSED[why].items() if name != "token"})
    user |= {"token": CANARY} if "token" in REFUSED[why] else {}
    with pytest.raises(ConfigError, match=why) as raised:
        await load(text(user=user), str(program.path), "plugin-that-is-not-there")
    assert CANARY not in str(raised.value)
    assert program.runs == 0


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV"),
        *("ENV", "HOME", "NODE_OPTIONS", "PERL5LIB", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GLIBC_TUNABLES", "path"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG", "CLOUDSDK_PYTHON", "AZURE_CONFIG_DIR"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "OPENSSL_CONF", "SSL_CERT_FILE", "KUBECONFIG", "KUBERNETES_EXEC_INFO"),
    ],
)
async def test_the_environment_chooses_no_other_program_or_library(name: str, program: Program) -> None:
    with pytest.raises(ConfigError, match=f"sets '{name}', which could choose another program") as raised:
        await program.load(env=[{"name": name, "value": CANARY}])
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_REGION", "AZURE_CLIENT_ID", "USE_GKE_GCLOUD_AUTH_PLUGIN", "HTTPS_PROXY"]
)
async def test_other_variables_are_fine(name: str, program: Program) -> None:
    assert (await program.load(env=[{"name": name, "value": "x"}])).plugin is not None


async def test_the_hub_may_use_any_program_and_gets_fresh_tokens(program: Program, tmp_path: Path) -> None:
    program.gives(answer(expires=1.0, token="first"))
    section = {"exec": {"apiVersion": V1, "command": "./plugin", "env": [{"name": "PYTHONPATH", "value": "x"}]}}
    (tmp_path / "config").write_text(yaml.safe_dump(document(user=section)))
    found = await credentials.load(str(tmp_path / "config"))
    assert await found.authorize() == "Bearer first"
    program.gives(answer(token="second"))
    await asyncio.sleep(0.6)
    await renewed(found)
    assert await found.authorize() == "Bearer second"
    (tmp_path / "config").write_text(yaml.safe_dump(document(user={"exec": {"apiVersion": V1}})))
    with pytest.raises(ConfigError, match="cannot be used: its exec plugin has no command"):
        await credentials.load(str(tmp_path / "config"))
