from django.apps import AppConfig


class InvoicesConfig(AppConfig):
    name = "invoices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import joblog  # noqa: F401  (listens to django-q's signals)
