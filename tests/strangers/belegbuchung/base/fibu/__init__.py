"""Eingangsrechnungen der Kreditorenbuchhaltung: erfassen, im Hintergrund buchen, Klärungsfälle vorlegen."""
