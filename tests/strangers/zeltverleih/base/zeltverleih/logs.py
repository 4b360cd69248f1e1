import logging

import structlog


def configure():
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event", "job", "job_id", "key"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
