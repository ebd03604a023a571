"""How logs are set up: once for each process, and once more where a test runs several commands in one."""

import structlog
from structlog.testing import capture_logs

from secretset import telemetry


def test_a_logger_that_is_in_use_follows_a_second_call() -> None:
    log = structlog.get_logger("secretset.test")
    for level in ("debug", "critical"):
        telemetry.configure_logging(level=level, form="text")
        log.info("used")
    with capture_logs() as seen:
        log.info("told")
    assert [entry["event"] for entry in seen] == ["told"]
