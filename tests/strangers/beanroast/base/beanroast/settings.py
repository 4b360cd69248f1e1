import structlog

from beanroast.config import config

SECRET_KEY = config.secret_key
DEBUG = config.debug
ALLOWED_HOSTS = config.hosts

INSTALLED_APPS = ["jobs", "orders"]
MIDDLEWARE = []
ROOT_URLCONF = "beanroast.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": config.database,
        # writers queue up instead of failing halfway through a transaction
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

REDIS_URL = config.redis_url

EMAIL_HOST = config.smtp_host
EMAIL_PORT = config.smtp_port
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = config.mail_from

CARRIER_URL = config.carrier_url
CARRIER_TOKEN = config.carrier_token

_shared = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
]

structlog.configure(
    processors=[*_shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structlog": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared,
            "processor": structlog.processors.JSONRenderer()
            if config.log_json
            else structlog.dev.ConsoleRenderer(),
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"httpx": {"level": "WARNING"}},
}
