from django.http import Http404, JsonResponse
from django.views.decorators.http import require_POST

from .models import Member
from .requests import request_invoice


@require_POST
def ask_for_invoice(request, member_id, season):
    if not Member.objects.filter(pk=member_id).exists():
        raise Http404
    return JsonResponse({"job": request_invoice(member_id, season)}, status=202)
