"""Which errors may pass by themselves."""
import sqlite3

import httpx
from botocore import exceptions as aws
from dramatiq.middleware import Interrupt

BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"}


def is_transient(error):
    match error:
        case httpx.HTTPStatusError():
            return error.response.status_code >= 500 or error.response.status_code == 429
        case httpx.TransportError() | aws.HTTPClientError() | sqlite3.OperationalError() | Interrupt():
            return True
        case aws.ClientError():
            return error.response.get("Error", {}).get("Code") in BUSY
    return False
