"""Django tasks: its driver in a proof."""
