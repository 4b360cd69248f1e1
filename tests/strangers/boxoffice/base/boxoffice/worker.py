"""What the dramatiq command imports: dramatiq --skip-logging boxoffice.worker"""
from boxoffice import actors  # noqa: F401
from boxoffice.broker import broker  # noqa: F401
