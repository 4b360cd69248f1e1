"""A first spec of a job that is there: what its code says, each line with the place that says it.

`draft.py` reads a job into values, with `messages.py` for its payload and `failing.py` for its
errors and retries; `annotated.py` writes them as YAML. Nothing is run.
"""
