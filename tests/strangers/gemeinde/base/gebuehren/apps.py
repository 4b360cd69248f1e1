from django.apps import AppConfig


class GebuehrenConfig(AppConfig):
    name = "gebuehren"

    def ready(self):
        from django_q.signals import pre_execute

        from . import journal

        pre_execute.connect(journal.auftrag_beginnt, dispatch_uid="gebuehren.journal")
