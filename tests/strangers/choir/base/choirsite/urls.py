from django.urls import path

from invoices import views

urlpatterns = [path("members/<int:member_id>/invoice/<int:season>", views.ask_for_invoice)]
