from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from orders import desk
from orders.models import Order


@require_POST
def packed(request, number):
    get_object_or_404(Order, number=number)
    try:
        order = desk.mark_packed(number)
    except desk.NotPackable as error:
        return JsonResponse({"error": str(error)}, status=409)
    return JsonResponse({"number": number, "status": order.status}, status=202)


@require_GET
def show(request, number):
    order = get_object_or_404(Order, number=number)
    return JsonResponse({"number": number, "status": order.status, "tracking": order.tracking_code})
