"""Lieferavise: was die Rampe verlässt, wird dem Kunden angekündigt und im Archiv abgelegt."""
