"""The base alone: who asks for a renewal again after it was charged opens the next period's."""

BASE = "mistake"
VARIANTS: list[dict[str, object]] = []
