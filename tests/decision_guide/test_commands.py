import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from decision_guide import GuideError, commands, documents

RECORDED = Path(__file__).parents[2] / "docs" / "decisions" / "ANSWERS.json"
EXAMPLE = {"title": "Orders", "answers": {"consumers": 4, "replay": "months"}}


@pytest.fixture
def answers_file(tmp_path) -> Path:
    path = tmp_path / "ANSWERS.json"
    path.write_text(json.dumps(EXAMPLE))
    return path


def test_score_reports_and_writes_the_document(answers_file, tmp_path):
    outcome = commands.score(answers_file, json_path=tmp_path / "out.json")
    assert outcome.code == 0
    assert "Transport: Kafka log" in outcome.text
    document = documents.read(tmp_path / "out.json")
    assert document["composite"]["options"]["transport"] == "log"


def test_score_prints_the_document_instead_on_request(answers_file):
    outcome = commands.score(answers_file, json_path=Path("-"))
    assert json.loads(outcome.text)["format"] == "offsetzero-guide-result/1"


def test_every_processor_gives_the_same_bytes():
    # OpenBLAS picks its kernels by the processor; Prescott's, which all of x86-64 can run, sum in
    # another order than those of today's, and a last digit or two of these answers differs.
    elsewhere = subprocess.run(
        [Path(sys.executable).with_name("offsetzero"), "guide", "score", RECORDED, "--json", "-"],
        env=os.environ | {"OPENBLAS_CORETYPE": "Prescott"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout == commands.score(RECORDED, json_path=Path("-")).text


def test_a_wrong_file_is_refused_with_its_name_and_path(answers_file):
    answers_file.write_text('{"answers": {"replay": "month"}}')
    with pytest.raises(GuideError) as caught:
        commands.score(answers_file)
    assert f"{answers_file}: $.answers.replay: " in str(caught.value)
    assert '"months"' in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GuideError, match="cannot be read"):
        commands.score(tmp_path / "nothing.json")


def test_lint_of_the_model_that_ships(model):
    outcome = commands.check()
    assert outcome.code == 0
    assert model.hash in outcome.text


def test_lint_tells_faults_by_its_exit_code(tmp_path, model):
    path = tmp_path / "model.json"
    spare = {"title": "t", "organisation": "o", "year": None}
    document = {**model.document, "sources": {**model.document["sources"], "spare": spare}}
    path.write_text(json.dumps(document))
    outcome = commands.check(model_path=path)
    assert outcome.code == 1
    assert "$.sources.spare: is cited nowhere" in outcome.text


def test_records_of_one_decision_or_of_all(answers_file):
    one = commands.record(answers_file, decision="transport", date="2026-11-24")
    assert "# Transport: Kafka log" in one.text
    assert "# Orders: " in commands.record(answers_file, date="2026-11-24").text
    with pytest.raises(GuideError, match="allowed: topology"):
        commands.record(answers_file, decision="transports")
