from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from bookings.cancellations import CancellationService
from bookings.models import Booking


@require_POST
def cancel(request, reference):
    get_object_or_404(Booking, reference=reference)
    booking = CancellationService.cancel(reference)
    return JsonResponse({"reference": reference, "status": booking.status}, status=202)


def show(request, reference):
    booking = get_object_or_404(Booking, reference=reference)
    return JsonResponse({"reference": reference, "status": booking.status})
