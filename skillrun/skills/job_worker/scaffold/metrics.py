"""A count of each outcome beside its log line, with the library by which the repository counts
already.
"""

from __future__ import annotations

from skillrun.frameworks.layout import call, source
from skillrun.frameworks.pieces import Facts, Symbol


def needed(facts: Facts) -> list[Symbol | str]:
    """What the handler's module imports for its counts."""
    conventions = facts.conventions
    if conventions.metrics == "prometheus_client":
        return ["from prometheus_client import Counter"]
    if conventions.metrics == "opentelemetry":
        return ["from opentelemetry import trace"]
    if conventions.metrics_client is None:
        return []
    return [conventions.metrics_client]


def definition(facts: Facts) -> str:
    """The counter that the module has; "" where the library needs none."""
    if facts.conventions.metrics != "prometheus_client":
        return ""
    said = f"Deliveries of {facts.job}, by what became of them."
    name = facts.name.upper()
    return call(
        f"{name}_DELIVERIES = Counter",
        [source(f"{facts.name}_deliveries"), source(said), '["outcome"]'],
    )


def count(facts: Facts, outcome: str, ref: str) -> str:
    """The statement that counts an outcome; "" where nothing counts. `ref`: how code refers to the
    client.
    """
    conventions = facts.conventions
    if conventions.metrics == "prometheus_client":
        return f"{facts.name.upper()}_DELIVERIES.labels({source(outcome)}).inc()"
    if conventions.metrics == "opentelemetry":
        return f"trace.get_current_span().add_event({source(f'{facts.name} {outcome}')})"
    if conventions.metrics_client is not None:
        return f"{ref}.{conventions.metrics_count}({source(f'{facts.name}.{outcome}'.replace(' ', '_'))})"
    return ""
