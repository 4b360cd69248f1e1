from django.urls import path

from rents import views

urlpatterns = [
    path("tenancies/<int:tenancy_id>/rents/<str:period>/raise", views.raise_one),
    path("tenancies/<int:tenancy_id>/rents/<str:period>/waive", views.waive_one),
]
