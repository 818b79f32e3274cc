# SPDX-License-Identifier: PostgreSQL
"""The REST API. A foreman reads and writes his own estimates, a manager everybody's."""

from rest_framework import permissions, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from .models import Estimate, Project, User
from .serializers import EstimateSerializer, ProjectSerializer, UserSerializer


def is_manager(request) -> bool:
    return request.user.role == User.Role.MANAGER


class ManagerWrites(permissions.BasePermission):
    message = "Only a manager may change projects."

    def has_permission(self, request, view) -> bool:
        return request.method in permissions.SAFE_METHODS or is_manager(request)


class ProjectViewSet(viewsets.ModelViewSet):
    serializer_class = ProjectSerializer
    permission_classes = [permissions.IsAuthenticated, ManagerWrites]

    def get_queryset(self):
        projects = Project.objects.all()
        if is_manager(self.request):
            return projects
        return projects.filter(estimates__foreman=self.request.user).distinct()


class EstimateViewSet(viewsets.ModelViewSet):
    serializer_class = EstimateSerializer

    def get_queryset(self):
        estimates = Estimate.objects.select_related("project", "foreman", "creator")
        if is_manager(self.request):
            return estimates
        return estimates.filter(foreman=self.request.user)

    def perform_create(self, serializer) -> None:
        if is_manager(self.request):
            serializer.save(creator=self.request.user)
        else:
            serializer.save(creator=self.request.user, foreman=self.request.user)

    def perform_update(self, serializer) -> None:
        if is_manager(self.request):
            serializer.save()
        else:
            serializer.save(foreman=self.request.user)


class UserViewSet(viewsets.ReadOnlyModelViewSet):
    """Who an estimate can be given to; `users/me/` is who asks."""

    serializer_class = UserSerializer

    def get_queryset(self):
        users = User.objects.filter(is_active=True).order_by("id")
        if is_manager(self.request):
            return users
        return users.filter(pk=self.request.user.pk)

    @action(detail=False)
    def me(self, request):
        return Response(self.get_serializer(request.user).data)
