"""Einstieg des Arbeiters: `huey_consumer avis.verbraucher.huey`."""

from avis import aufgaben, konfig, relais
from avis.warteschlange import huey

konfig.logging_einrichten()

__all__ = ["aufgaben", "huey", "relais"]
