from django.apps import AppConfig


class RentsConfig(AppConfig):
    name = "rents"
