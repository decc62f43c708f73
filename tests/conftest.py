"""Rules for all tests.

On CI nothing is skipped, and property tests take the same examples for the same code. Elsewhere
they take new ones each time. No deadline: machines are noisy.
"""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("play")
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI: {report.longrepr[-1]}"
