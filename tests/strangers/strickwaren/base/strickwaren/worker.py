"""For the dramatiq command: dramatiq strickwaren.worker"""
from strickwaren import actors  # noqa: F401
from strickwaren.broker import broker  # noqa: F401
