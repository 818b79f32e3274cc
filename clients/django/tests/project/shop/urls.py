# SPDX-License-Identifier: PostgreSQL
from django.http import HttpResponse
from django.template import engines
from django.urls import include, path

PAGE = """{% load pgherald %}<!doctype html><script>
const source = new EventSource("{% sse_url %}?token={{ token }}");
window.heard = [];
source.onmessage = (m) => heard.push(JSON.parse(m.data));
</script>"""


def page(request):
    return HttpResponse(engines["django"].from_string(PAGE).render({"token": request.GET.get("token", "")}))


urlpatterns = [path("", include("pgherald_django.urls")), path("page/", page)]
