"""One token per order, drawn before the first call to the carrier and the same for
each call after it. Redis keeps it for 30 days, the carrier looks at 14."""
import secrets

DAYS = 24 * 3600


async def token_for(redis, order_id):
    key = f"esim:token:{order_id}"
    await redis.set(key, secrets.token_hex(16), nx=True, ex=30 * DAYS)
    return (await redis.get(key)).decode()
