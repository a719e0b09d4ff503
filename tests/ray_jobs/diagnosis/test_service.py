from __future__ import annotations

import threading
import time

import pytest

from ray_jobs.diagnosis.service import Service, late, within

FOUND = Service("MLflow", "server", "http://host", "reachable")


def test_no_text_of_a_service_has_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_TOKEN", "t0ken-of-mine")
    found = Service.unusable(
        "Ray", "cluster", "http://me:s3cret@host?key=abc", "refused t0ken-of-mine of me:s3cret@host"
    )
    assert found.place == "http://***@host?***"
    assert found.problem == "Ray: refused *** of me:s3cret@host"
    found = Service("Ray", "cluster", None, "reachable at http://me:s3cret@host")
    assert found.to_json() == {
        "kind": "cluster",
        "place": None,
        "state": "reachable at http://***@host",
        "usable": True,
        "problem": None,
    }


def test_what_is_found_in_time_is_returned() -> None:
    assert within(10, lambda: FOUND, late("MLflow", "server", None, 10))() is FOUND


def test_what_takes_too_long_is_a_problem_after_that_long() -> None:
    never = threading.Event()

    def wait() -> Service:
        never.wait(60)
        return FOUND

    started = time.monotonic()
    found = within(0.2, wait, late("MLflow", "server", "http://host", 0.2))()
    never.set()
    assert time.monotonic() - started < 30
    assert (found.usable, found.state) == (False, "cannot be used")
    assert found.problem == (
        "MLflow: no answer within 0.2 seconds. Fix: check the address, and that it can be reached from here"
    )


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def fail() -> Service:
        raise ZeroDivisionError

    result = within(10, fail, late("MLflow", "server", None, 10))
    with pytest.raises(ZeroDivisionError):
        result()
