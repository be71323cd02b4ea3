from dataclasses import replace
from pathlib import Path

import pytest

from graders.spec import MAX_FILE_BYTES, MAX_FILES, ServiceSpec, Submission, TopicSpec
from sandbox.gateway import DATABASE_PORT, KAFKA_PORT
from tests.graders.challenge import challenge


def test_a_folder_is_read_without_what_is_hidden(tmp_path: Path):
    for name in ("main.py", "lib/books.py", ".git/config", "__pycache__/x.pyc", ".env"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    submission = Submission.read(tmp_path)
    assert submission.files == {"main.py": "main.py", "lib/books.py": "lib/books.py"}
    assert submission.problems() == []


def test_a_single_file_is_the_entry_point(tmp_path: Path):
    (tmp_path / "solution.py").write_text("x = 1")
    assert Submission.read(tmp_path / "solution.py").files == {"main.py": "x = 1"}


def test_topics_that_lag_are_led_at_ports_of_their_own():
    topics = (
        TopicSpec("payments", led_apart=True),
        TopicSpec("refunds"),
        TopicSpec("ids", led_apart=True),
    )
    spec = replace(challenge(), topics=topics, services=(ServiceSpec("mail"),))
    assert spec.leader_ports.keys() == {"payments", "ids"}
    ports = [*spec.leader_ports.values(), *spec.service_ports, KAFKA_PORT, DATABASE_PORT]
    assert len(set(ports)) == len(ports)


def test_a_file_that_is_no_text_is_named(tmp_path: Path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(UnicodeDecodeError, match=r"picture\.png"):
        Submission.read(tmp_path)


def test_a_program_with_transactions_is_known_by_its_setting():
    for setting in ('"transactional.id": name', "transactional_id=name", "TRANSACTIONAL_ID_CONFIG"):
        assert Submission({"main.py": "import kafka", "out.py": setting}).has_transactions
    assert not Submission({"main.py": "# transactional outbox"}).has_transactions


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.py", "a/../../b.py", "", "a\\b.py", "a\0b"])
def test_paths_that_leave_the_project_are_refused(name: str):
    assert "stay inside the project" in Submission({name: ""}).problems()[0]


def test_too_much_is_refused():
    assert "256000 are accepted" in Submission({"a.py": "x" * (MAX_FILE_BYTES + 1)}).problems()[0]
    many = {f"f{n}.py": "" for n in range(MAX_FILES + 1)}
    assert f"at most {MAX_FILES}" in Submission(many).problems()[0]
    heavy = {f"f{n}.py": "x" * MAX_FILE_BYTES for n in range(5)}
    assert "together" in Submission(heavy).problems()[0]
    assert "longer than 200" in Submission({"x" * 201: ""}).problems()[0]


def test_what_is_written_is_what_was_sent(tmp_path: Path):
    Submission({"main.py": "a = 'ä'", "lib/x.py": "\n"}).write_to(tmp_path)
    assert (tmp_path / "main.py").read_text("utf-8") == "a = 'ä'"
    assert (tmp_path / "lib" / "x.py").read_text() == "\n"
