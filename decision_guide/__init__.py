"""Does event-driven design fit, and what would change the answer? A pure library.

model = load_model()
answers = parse_answers(model, {"answers": {"consumers": 4, "replay": "months"}})
result = evaluate(model, answers)
print(result.composite.sentence)
"""

from decision_guide.answers import (
    NOT_SURE,
    REASONS,
    Answers,
    Given,
    allowed_values,
    is_asked,
    parse_answers,
)
from decision_guide.errors import GuideError, Problem
from decision_guide.evaluation import DRAWS, SEED, choose_only, evaluate, outline
from decision_guide.exports import csv, well_architected_lens
from decision_guide.lint import lint
from decision_guide.loading import load_model, parse_model
from decision_guide.madr import Heading, madr, madr_combined
from decision_guide.milestones import (
    Comparison,
    Milestone,
    Rescored,
    check_result,
    compare,
    milestone,
    rescore,
)
from decision_guide.model import CONFIDENCE, Model
from decision_guide.overlay import overlay, rank_order_weights
from decision_guide.permalink import decode, encode
from decision_guide.report import text_report
from decision_guide.result import Outline, Result
from decision_guide.team import Review, merge, settle

__all__ = [
    "CONFIDENCE",
    "DRAWS",
    "NOT_SURE",
    "REASONS",
    "SEED",
    "Answers",
    "Comparison",
    "Given",
    "GuideError",
    "Heading",
    "Milestone",
    "Model",
    "Outline",
    "Problem",
    "Rescored",
    "Result",
    "Review",
    "allowed_values",
    "check_result",
    "choose_only",
    "compare",
    "csv",
    "decode",
    "encode",
    "evaluate",
    "is_asked",
    "lint",
    "load_model",
    "madr",
    "madr_combined",
    "merge",
    "milestone",
    "outline",
    "overlay",
    "parse_answers",
    "parse_model",
    "rank_order_weights",
    "rescore",
    "settle",
    "text_report",
    "well_architected_lens",
]
