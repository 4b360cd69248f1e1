from django.http import JsonResponse
from django.views.decorators.http import require_POST

from rents import monthly


@require_POST
def raise_one(request, tenancy_id, period):
    charge = monthly.raise_rent(tenancy_id, period)
    return JsonResponse({"reference": charge.reference, "status": charge.status}, status=202)


@require_POST
def waive_one(request, tenancy_id, period):
    waived = monthly.waive_rent(tenancy_id, period)
    return JsonResponse({"waived": waived}, status=200 if waived else 409)
