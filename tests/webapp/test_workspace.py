"""Saving: nothing typed is lost, whoever saves first."""

import pytest

ONE = {"main.py": "print('one')\n"}
TWO = {"main.py": "print('two')\n"}


def save(browser, attempt, files, base):
    return browser.put(f"/attempts/{attempt}/files", json={"files": files, "base": base})


def test_the_workspace_shows_the_starter(world):
    page = world.a.get(f"/attempts/{world.attempt_a}")
    assert page.status_code == 200
    assert "main.py" in page.text


def test_a_save_is_the_next_revision(world):
    answer = save(world.a, world.attempt_a, ONE, 1)
    assert (answer.status_code, answer.json["revision"]) == (200, 2)
    assert save(world.a, world.attempt_a, TWO, 2).json["revision"] == 3


def test_equal_files_are_saved_already(world):
    save(world.a, world.attempt_a, ONE, 1)
    again = save(world.a, world.attempt_a, ONE, 1)
    assert (again.status_code, again.json["revision"]) == (200, 2)


def test_of_two_windows_both_texts_are_kept(world):
    save(world.a, world.attempt_a, ONE, 1)
    late = save(world.a, world.attempt_a, TWO, 1)
    assert (late.status_code, late.json["error"], late.json["files"]) == (409, "conflict", ONE)
    kept = world.a.get(f"/attempts/{world.attempt_a}/copies/{late.json['kept']}")
    assert kept.json["files"] == TWO
    assert save(world.a, world.attempt_a, TWO, late.json["revision"]).json["revision"] == 3


def test_the_same_late_text_is_kept_once(world):
    save(world.a, world.attempt_a, ONE, 1)
    copies = {save(world.a, world.attempt_a, TWO, 1).json["kept"] for _ in range(3)}
    assert len(copies) == 1


def test_after_the_deadline_nothing_is_saved_and_nothing_runs(world, session):
    from webapp.db import utc_now
    from webapp.workspace.models import Attempt

    session.get(Attempt, world.attempt_a).deadline = utc_now()
    session.commit()
    assert save(world.a, world.attempt_a, ONE, 1).json["error"] == "deadline"
    run = world.a.post(f"/attempts/{world.attempt_a}/runs", json={"kind": "run", "revision": 1})
    assert (run.status_code, run.json["error"]) == (403, "deadline")
    assert world.a.get(f"/attempts/{world.attempt_a}").status_code == 200


@pytest.mark.parametrize("base", [None, "1", True, 1.5, 0, -1, 2**31, 10**30])
def test_a_base_that_is_no_revision_is_refused(world, base):
    assert save(world.a, world.attempt_a, ONE, base).status_code == 400


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "\xff"])
def test_a_body_that_is_no_object_is_refused(world, body):
    path = f"/attempts/{world.attempt_a}/files"
    answer = world.a.put(path, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]) == (400, "bad-request")


def test_a_bad_file_is_named(world):
    answer = save(world.a, world.attempt_a, {"main.py": "", "../up.py": ""}, 1)
    assert answer.status_code == 422
    assert [problem["path"] for problem in answer.json["problems"]] == ["../up.py"]
    assert "../up.py" in answer.json["message"]


def test_a_request_beyond_the_limit_is_refused(world):
    answer = save(world.a, world.attempt_a, {"main.py": "x" * 5_000_000}, 1)
    assert answer.status_code == 413
