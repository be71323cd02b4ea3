"""Who gets what at every address: a new route without a row here fails the suite.

Candidate A owns the attempt and the run asked for. Each row says what the anonymous, candidate A,
candidate B and the interviewer get: a status code, or LOGIN for being sent to log in.
"""

import pytest
from flask import Flask

from decision_guide import Answers, evaluate
from webapp.guide import decision_models, links
from webapp.guide.companies import services as companies
from webapp.guide.milestones import services as milestones
from webapp.guide.team import services as teams

LOGIN = "login"
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
MATRIX = {
    # endpoint: (method, body, anonymous, A, B, interviewer)
    "home.index": ("GET", None, 200, 200, 200, 200),
    "health.check": ("GET", None, 200, 200, 200, 200),
    "challenges.index": ("GET", None, 200, 200, 200, 200),
    "challenges.show": ("GET", None, 200, 200, 200, 200),
    "accounts.login": ("GET", None, 200, 200, 200, 200),
    "accounts.logout": ("POST", {}, LOGIN, LOGIN, LOGIN, LOGIN),
    "invites.landing": ("GET", None, 410, 302, 410, 410),
    "workspace.show": ("GET", None, 404, 200, 404, 404),
    "workspace.save_files": ("PUT", {"files": {}, "base": 1}, 404, 409, 404, 404),
    "workspace.show_copy": ("GET", None, 404, 200, 404, 404),
    "workspace.start_run": ("POST", {"kind": "run", "revision": 0}, 404, 409, 404, 404),
    "runs.report": ("GET", None, 404, 200, 404, 200),
    "runs.report_json": ("GET", None, 404, 200, 404, 200),
    "runs.cancel": ("POST", {}, 404, 200, 404, 404),
    "runs.regrade": ("POST", None, LOGIN, LOGIN, LOGIN, 302),
    "live.events": ("GET", None, 404, 200, 404, 200),
    "interviews.index": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "interviews.new_invite": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "interviews.attempt": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide.start": ("GET", None, 200, 200, 200, 200),
    "guide.questions": ("GET", None, 200, 200, 200, 200),
    "guide.live": ("POST", {}, 200, 200, 200, 200),
    "guide_results.show": ("GET", None, 200, 200, 200, 200),
    "guide_results.open_answers": ("POST", {}, 400, 400, 400, 400),
    "guide_results.compare": ("GET", None, 200, 200, 200, 200),
    "guide_results.download": ("POST", {}, 200, 200, 200, 200),
    "guide_team.index": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_team.facilitate": ("GET", None, 200, 200, 200, 200),
    "guide_team.add_rater": ("POST", {}, 302, 302, 302, 302),
    "guide_team.remove_rater": ("POST", {}, 302, 302, 302, 302),
    "guide_team.settle": ("POST", {}, 302, 302, 302, 302),
    "guide_team.rate": ("GET", None, 200, 200, 200, 200),
    "guide_team.keep_ratings": ("POST", {}, 303, 303, 303, 303),
    "guide_team.delete": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_milestones.index": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_milestones.keep": ("POST", {}, LOGIN, LOGIN, LOGIN, 400),
    "guide_milestones.show": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_milestones.document": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_milestones.delete": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_companies.delete": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_companies.index": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_companies.edit": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "guide_companies.weigh": ("POST", {}, LOGIN, LOGIN, LOGIN, 302),
    "guide_companies.add_knockout": ("POST", {}, LOGIN, LOGIN, LOGIN, 200),
    "guide_companies.remove_knockout": ("POST", {}, LOGIN, LOGIN, LOGIN, 302),
    "guide_companies.overlay_file": ("GET", None, LOGIN, LOGIN, LOGIN, 200),
    "interviews.resume": ("POST", None, LOGIN, LOGIN, LOGIN, 200),
}


def routes(app: Flask):
    return [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]


def test_every_route_has_a_row(shared_app):
    assert {rule.endpoint for rule in routes(shared_app)} == set(MATRIX)


def test_no_get_changes_anything(shared_app):
    """Addresses for GET take nothing else, but for the forms that post to their own address."""
    forms = {"accounts.login", "invites.landing", "interviews.new_invite"}
    forms |= {"guide.questions", "guide_results.show", "guide_results.compare"}
    forms |= {"guide_team.index", "guide_companies.index"}
    forms |= {"guide_team.delete", "guide_milestones.delete", "guide_companies.delete"}
    both = {
        rule.endpoint
        for rule in routes(shared_app)
        if "GET" in rule.methods & {"GET"} and rule.methods & UNSAFE
    }
    assert both == forms


@pytest.fixture
def address(app, world, judged, link, guide_things):
    """A function that builds the address of an endpoint for A's things."""
    copy = kept_copy(world)
    values = {
        "token": link,
        "attempt_id": world.attempt_a,
        "copy_id": copy,
        "run_id": judged,
        "name": "idempotent_consumer",
        **guide_things,
    }

    def build(endpoint: str) -> str:
        with app.test_request_context():
            rule = next(rule for rule in routes(app) if rule.endpoint == endpoint)
            return app.url_for(endpoint, **{name: values[name] for name in rule.arguments})

    return build


@pytest.fixture
def guide_things(app, session, interviewer) -> dict[str, str | int]:
    """What stands in the addresses of the decision guide."""
    company = companies.create(session, interviewer, "acme", "Acme Ltd")
    assessment = teams.create(session, interviewer, "Shop", ["Ada", "Bob"], company.id)
    result = evaluate(decision_models.base(), Answers(), draws=10)
    milestone = milestones.keep(session, interviewer, "May", result, None)
    session.commit()
    rater = assessment.raters[0]
    with app.app_context():
        return {
            "kind": "answers",
            "team_token": links.token(links.FACILITATOR, assessment.id),
            "rater_token": links.token(links.RATER, rater.id),
            "rater_id": rater.id,
            "milestone_id": milestone.id,
            "company_id": company.id,
            "decision": "reads",
            "knockout_id": "OWN1",
        }


def kept_copy(world) -> str:
    path = f"/attempts/{world.attempt_a}/files"
    world.a.put(path, json={"files": {"main.py": "1"}, "base": 1})
    return world.a.put(path, json={"files": {"main.py": "2"}, "base": 1}).json["kept"]


@pytest.mark.parametrize("endpoint", sorted(MATRIX))
def test_access(world, address, endpoint):
    method, body, *expected = MATRIX[endpoint]
    path, got = address(endpoint), []
    for who in ("anonymous", "b", "a", "interviewer"):  # who may do the least goes first
        answer = getattr(world, who).open(path, method=method, json=body)
        to_log_in = answer.status_code == 401 or (answer.location or "").startswith("/login")
        got.append((who, LOGIN if to_log_in else answer.status_code))
    anonymous, a, b, interviewer = expected
    assert got == [
        ("anonymous", anonymous),
        ("b", b),
        ("a", a),
        ("interviewer", interviewer),
    ]


def test_what_is_not_there_looks_like_what_one_may_not_see(world):
    foreign = world.b.get(f"/attempts/{world.attempt_a}")
    absent = world.b.get("/attempts/0123456789abcdef01234567")
    assert (foreign.status_code, foreign.text) == (absent.status_code, absent.text)


@pytest.mark.parametrize("path", ["/attempts/%00", "/runs/a%00b/report", "/interviews?q=%00"])
def test_a_nul_in_an_address_is_not_found(world, path):
    assert world.interviewer.get(path).status_code == 404
