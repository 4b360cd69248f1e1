import logging


def configure():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Prints the arguments and results of tasks otherwise.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
