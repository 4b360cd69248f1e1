from functools import lru_cache

from django.conf import settings

from farmbank import FarmBank


@lru_cache
def get_bank() -> FarmBank:
    return FarmBank(settings.FARMBANK_URL, settings.FARMBANK_TOKEN)
