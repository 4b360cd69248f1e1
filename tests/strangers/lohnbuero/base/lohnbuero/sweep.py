"""python -m lohnbuero.sweep: stays, and looks every half hour for declarations that stand still."""

import time

from loguru import logger

from . import config, logs, service


def main():
    logs.setup()
    while True:
        try:
            service.requeue_stalled()
        except Exception as error:
            logger.error("sweep failed: {}", type(error).__name__)
        time.sleep(config.SWEEP_EVERY.total_seconds())


if __name__ == "__main__":
    main()
