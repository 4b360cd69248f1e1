import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferryboard.settings")
application = get_wsgi_application()

from ferryboard.log import configure_logging  # noqa: E402

configure_logging()
