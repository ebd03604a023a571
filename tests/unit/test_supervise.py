"""Tasks that must not end."""

import asyncio

import pytest

from secretset.kube import supervise


async def test_what_is_kept_begins_again_though_something_that_it_waited_for_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervise, "_AGAIN_SECONDS", 0.0)
    begun, again = 0, asyncio.Event()

    async def run() -> None:
        nonlocal begun
        begun += 1
        if begun > 1:
            again.set()
            await asyncio.Event().wait()
        nobodys = asyncio.ensure_future(asyncio.sleep(60))
        nobodys.cancel()
        await nobodys

    kept = supervise.start("test", run)
    async with asyncio.timeout(5):
        await again.wait()
    kept.cancel()
    with pytest.raises(asyncio.CancelledError):
        await kept
    assert begun == 2
