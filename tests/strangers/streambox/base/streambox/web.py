from aiohttp import web

from streambox import videos
from streambox.log import setup_logging
from streambox.settings import settings
from streambox.tasks import EVENTS, broker

routes = web.RouteTableDef()


@routes.post("/internal/videos/{id}/transcoded")
async def transcoded(request):
    event = (await request.json()).get("event")
    if event not in EVENTS:
        raise web.HTTPUnprocessableEntity(text="event")
    try:
        await videos.transcoded(request.match_info["id"], event)
    except LookupError:
        raise web.HTTPNotFound() from None
    return web.json_response({"ok": True}, status=202)


@routes.delete("/internal/videos/{id}/webhooks")
async def cancel(request):
    await videos.cancel_webhooks(request.match_info["id"])
    return web.Response(status=204)


async def broker_lifetime(app):
    await broker.startup()
    yield
    await broker.shutdown()


def make_app():
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(broker_lifetime)
    return app


if __name__ == "__main__":
    setup_logging()
    web.run_app(make_app(), port=settings.port)
