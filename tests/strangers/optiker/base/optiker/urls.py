from django.urls import path

from lenses import views

urlpatterns = [path("lens-orders/<int:order_id>/place", views.place, name="place-lens-order")]
