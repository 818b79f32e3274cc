# SPDX-License-Identifier: PostgreSQL
from rest_framework import serializers

from .models import Estimate, Project, User


class ProjectSerializer(serializers.ModelSerializer):
    class Meta:
        model = Project
        fields = ["id", "name", "address", "created_at"]
        read_only_fields = ["created_at"]


class EstimateSerializer(serializers.ModelSerializer):
    project_name = serializers.CharField(source="project.name", read_only=True)
    foreman_name = serializers.CharField(source="foreman.username", read_only=True, default=None)
    creator_name = serializers.CharField(source="creator.username", read_only=True)

    class Meta:
        model = Estimate
        fields = [
            "id",
            "number",
            "project",
            "project_name",
            "foreman",
            "foreman_name",
            "creator",
            "creator_name",
            "status",
            "amount",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["creator", "created_at", "updated_at"]


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username", "role"]
