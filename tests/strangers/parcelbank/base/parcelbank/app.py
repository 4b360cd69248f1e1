from celery import Celery
from celery.signals import setup_logging, worker_process_init

from parcelbank import log, uow

app = Celery("parcelbank")
app.config_from_object("parcelbank.celeryconfig")


@setup_logging.connect
def _logging(**_):
    log.configure()


@worker_process_init.connect
def _own_connections(**_):
    uow.engine().dispose(close=False)
