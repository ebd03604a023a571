"""Long forms of what the integration tests do briefly: `make chaos`. The fixtures are theirs."""

from integration.conftest import abroad, canaries, hub, operator, org

__all__ = ["abroad", "canaries", "hub", "operator", "org"]
