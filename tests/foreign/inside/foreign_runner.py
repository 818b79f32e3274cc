# SPDX-License-Identifier: PostgreSQL
"""Django's test runner, which watches every table and notes what came of each test."""

import unittest

import foreign_watch
from django.test.runner import DiscoverRunner

foreign_watch.hook()


class Result(unittest.TextTestResult):
    def note(self, test, outcome):
        # A subtest that fails decides over its test, which then is no success.
        foreign_watch.outcomes[test.id()] = outcome

    def addSuccess(self, test):
        super().addSuccess(test)
        foreign_watch.outcomes.setdefault(test.id(), "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failed")

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "failed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note(test, "expected to fail")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "passed unexpectedly")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, "failed")


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result

    def setup_databases(self, **kwargs):
        made = super().setup_databases(**kwargs)
        foreign_watch.begin()
        return made

    def teardown_databases(self, old_config, **kwargs):
        foreign_watch.end()
        super().teardown_databases(old_config, **kwargs)
