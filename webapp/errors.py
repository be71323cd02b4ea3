"""Error pages and JSON errors: what was wrong, and what to do."""

from typing import Any

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from webapp import db

RELOAD = "Reload the page and try again. What you had saved is safe."
# code: (name for programs, title, advice)
KNOWN = {
    400: ("bad-request", "We could not read that request", RELOAD),
    401: ("login", "Please log in", "Log in and try again."),
    403: ("forbidden", "That is not allowed", RELOAD),
    404: (
        "not-found",
        "There is nothing here for you",
        "Check the address. A challenge opens only in the browser where its invite was accepted: "
        "use the invite link there, or ask your interviewer for a link to go on elsewhere.",
    ),
    405: ("method", "That address does not take this kind of request", "Go back and try again."),
    413: ("too-large", "That is too large", "Make it smaller and try again."),
    429: ("too-many", "Too many requests", "Wait a little and try again."),
    500: (
        "internal",
        "Something broke on our side",
        "It is not your fault, and it is in our log. Try again in a minute.",
    ),
    503: (
        "unavailable",
        "We are back in a moment",
        "Our database is being restarted. Try again in a few seconds; nothing is lost.",
    ),
}


def init_app(app: Flask) -> None:
    """Answer every error in the form that was asked for, with nothing half written."""
    app.register_error_handler(CSRFError, stale_form)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(OperationalError, database_away)
    app.register_error_handler(Exception, unexpected)


def stale_form(_: CSRFError) -> tuple[Response | str, int]:
    db.rollback()
    return answer(400, "csrf", "This page is out of date", "Your session changed.", RELOAD)


def http_error(error: HTTPException) -> tuple[Response | str, int] | HTTPException:
    db.rollback()
    code = error.code or 500
    if code < 400:
        return error
    name, title, advice = KNOWN.get(code, KNOWN[400 if code < 500 else 500])
    own_words = error.description != type(error).description
    return answer(code, name, title, (error.description or "") if own_words else "", advice)


def database_away(error: OperationalError) -> tuple[Response | str, int] | HTTPException:
    current_app.logger.warning("%s %s: %s", request.method, request.path, error.orig)
    g.setdefault("interviewer", None)  # the page must not ask the database again
    return http_error(ServiceUnavailable())


def unexpected(error: Exception) -> tuple[Response | str, int] | HTTPException:
    current_app.logger.exception("%s %s failed", request.method, request.path, exc_info=error)
    g.setdefault("interviewer", None)
    return http_error(InternalServerError())


def answer(
    code: int, name: str, title: str, message: str, advice: str
) -> tuple[Response | str, int]:
    """The error as a page, or as JSON for those who speak it."""
    if wants_json():
        return json_error(code, name, message or title, advice)
    page = render_template(
        "errors/error.html", code=code, title=title, message=message, advice=advice
    )
    return page, code


def json_error(
    code: int, name: str, message: str, advice: str = "", **extras: Any
) -> tuple[Response, int]:
    """The one form of a JSON error."""
    return jsonify(error=name, message=message, advice=advice, **extras), code


def wants_json() -> bool:
    """Whether the caller is a program of ours rather than a person looking at a page."""
    return request.is_json or request.accept_mimetypes.best == "application/json"
