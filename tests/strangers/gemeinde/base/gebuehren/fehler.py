class Erneut(Exception):
    """Dieser Versuch ist gescheitert, der Auftrag bleibt in der Warteschlange."""


class InArbeit(Exception):
    """Ein anderer Worker hält den Bescheid."""


class Unlesbar(Exception):
    """So eine Nachricht schickt niemand von uns."""


class Unbekannt(Exception):
    """Zu dem Aktenzeichen gibt es keinen Bescheid."""
