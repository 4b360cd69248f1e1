from django.urls import path

from orders import views

urlpatterns = [
    path("orders/<str:number>/packed", views.packed),
    path("orders/<str:number>", views.show),
]
