from aiohttp import web
from loguru import logger

from . import logs, orders
from .db import transaction

routes = web.RouteTableDef()


@routes.post("/hooks/payment")
async def payment(request):
    event = await request.json()
    if event.get("type") != "payment.settled":
        return web.Response(status=204)
    async with transaction() as db:
        await db.execute("update orders set paid = 1 where id = ?", (event["order"],))
    try:
        await orders.request_activation(event["order"])
    except orders.NotPaid:
        logger.warning("payment for an unknown order {}", event["order"])
        return web.Response(status=404)
    return web.Response(status=202)


@routes.get("/orders/{id}")
async def show(request):
    try:
        order = await orders.find(request.match_info["id"])
    except orders.NoSuchOrder:
        return web.Response(status=404)
    return web.json_response({key: order[key] for key in ("id", "plan", "active", "given_up")})


if __name__ == "__main__":
    logs.setup()
    app = web.Application()
    app.add_routes(routes)
    web.run_app(app, port=8080)
