# SPDX-License-Identifier: PostgreSQL
"""The same for a suite that is run by pytest with pytest-django."""

import foreign_watch
import pytest

foreign_watch.hook()


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef, request):
    yield
    if fixturedef.argname == "django_db_setup":
        foreign_watch.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_post_finalizer(fixturedef, request):
    pass


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        foreign_watch.outcomes[report.nodeid] = report.outcome
