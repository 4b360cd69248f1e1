"""The base alone."""

VARIANTS: list[dict[str, object]] = []
