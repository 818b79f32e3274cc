# SPDX-License-Identifier: PostgreSQL
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from .models import Estimate, Project, User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "role", "is_active", "is_staff")
    list_filter = ("role", "is_active")
    fieldsets = DjangoUserAdmin.fieldsets + (("Company", {"fields": ("role",)}),)
    add_fieldsets = DjangoUserAdmin.add_fieldsets + (("Company", {"fields": ("role",)}),)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ("name", "address", "created_at")
    search_fields = ("name", "address")


@admin.register(Estimate)
class EstimateAdmin(admin.ModelAdmin):
    list_display = ("number", "project", "foreman", "status", "amount", "updated_at")
    list_editable = ("status",)
    list_filter = ("status", "foreman")
    list_select_related = ("project", "foreman")
    search_fields = ("number",)
