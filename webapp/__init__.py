"""The web application: what candidates and interviewers see and do in a browser."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from webapp.config import Config


def create_app(config: "Config | None" = None) -> "Flask":
    """The application for a configuration, or for the environment's. Raises ConfigError."""
    from webapp import app  # not on import: the command line needs little of it

    return app.create_app(config)
