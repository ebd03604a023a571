"""Long forms of what the integration tests do briefly: `make chaos`. The fixtures are theirs."""

from integration.conftest import abroad, canaries, far, hub, hurt, lone, operator, org, temporary, there

__all__ = ["abroad", "canaries", "far", "hub", "hurt", "lone", "operator", "org", "temporary", "there"]
