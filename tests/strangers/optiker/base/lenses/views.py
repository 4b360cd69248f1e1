from django.http import HttpResponseNotFound, JsonResponse
from django.views.decorators.http import require_POST

from . import services


@require_POST
def place(request, order_id):
    try:
        placed = services.place_order(order_id)
    except services.UnknownOrder:
        return HttpResponseNotFound()
    return JsonResponse({"order": order_id, "placed": placed}, status=202)
