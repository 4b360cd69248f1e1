from django.urls import path

from bookings import views

urlpatterns = [
    path("bookings/<str:reference>/cancel", views.cancel),
    path("bookings/<str:reference>", views.show),
]
