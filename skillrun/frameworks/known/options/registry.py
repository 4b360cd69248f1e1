"""The libraries of other languages whose options are read: id -> reader."""

from __future__ import annotations

from skillrun.frameworks.known.options.job_options import ReadOptions
from skillrun.frameworks.known.options.of_bullmq import read_bullmq
from skillrun.frameworks.known.options.of_sidekiq import read_sidekiq

OPTION_READERS: dict[str, ReadOptions] = {"bullmq": read_bullmq, "sidekiq": read_sidekiq}
