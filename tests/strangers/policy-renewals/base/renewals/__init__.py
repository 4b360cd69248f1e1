"""Renews policies with the risk carrier once their period begins."""
