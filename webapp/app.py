"""Putting the application together."""

from pathlib import Path

from flask import Flask
from flask_wtf import CSRFProtect
from jinja2 import ChoiceLoader, FileSystemLoader
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import db, errors, presentation, security, sessions
from webapp.accounts.views import blueprint as accounts
from webapp.catalogue.views import blueprint as challenges
from webapp.catalogue.views import health, home
from webapp.config import Config
from webapp.guide.blueprints import BLUEPRINTS as GUIDE
from webapp.interviews.views import blueprint as interviews
from webapp.invites.views import blueprint as invites
from webapp.live.hub import Hub
from webapp.live.views import blueprint as live
from webapp.runs.views import blueprint as runs
from webapp.workspace.views import blueprint as workspace

BLUEPRINTS = (
    *(home, health, accounts, challenges, invites, workspace, runs, live, interviews),
    *GUIDE,
)
MAX_REQUEST_BYTES = 4_000_000  # the files of a project at most, as JSON with its escapes
GRADERS_TEMPLATES = Path(__file__).parent.parent / "graders" / "report" / "templates"


def create_app(config: Config | None = None) -> Flask:
    """See webapp.create_app.

    The pool has room for the bursts of one process; live streams hold no connection while quiet.
    """
    config = config or Config.from_env()
    app = Flask(__name__)
    app.config.from_mapping(settings(config))
    if config.proxies:
        hops = config.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    db.init_app(app, db.make_engine(config.database_url, pool_size=10, max_overflow=20))
    app.extensions["hub"] = Hub(config.database_url)
    security.init_app(app, secure=config.secure)
    CSRFProtect(app)
    errors.init_app(app)
    presentation.init_app(app)
    app.jinja_loader = ChoiceLoader([app.jinja_loader, FileSystemLoader(GRADERS_TEMPLATES)])
    app.context_processor(lambda: {"user": sessions.current_interviewer()})
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def settings(config: Config) -> dict:
    """Flask's settings. Its own signed cookie carries the CSRF secret and messages, no identity."""
    return {
        "SECRET_KEY": config.secret_key,
        "PUBLIC_URL": config.public_url,
        "SESSION_COOKIE_NAME": "__Host-form" if config.secure else "form",
        "SESSION_COOKIE_SECURE": config.secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "WTF_CSRF_TIME_LIMIT": None,  # a workspace stays open for hours
        "WTF_CSRF_SSL_STRICT": False,  # the check of Sec-Fetch-Site and Origin stands for it
        "MAX_CONTENT_LENGTH": MAX_REQUEST_BYTES,
        "MAX_FORM_MEMORY_SIZE": 500_000,  # the answers to the decision guide, notes and all
        "MAX_FORM_PARTS": 50,
    }
