"""The platform's database: one engine a process, one session a request, one metadata."""

import json
import secrets
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import Flask, Response, current_app, g
from sqlalchemy import DateTime, Engine, MetaData, create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

Sessions = sessionmaker[Session]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own form
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
    }


def new_id() -> str:
    """An id that cannot be guessed (96 random bits) and needs no quoting anywhere."""
    return secrets.token_hex(12)


def utc_now() -> datetime:
    return datetime.now(UTC)


def make_engine(database_url: str, **options: Any) -> Engine:
    """An engine for anything libpq understands as an address."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_url),
        pool_pre_ping=True,
        json_serializer=lambda value: json.dumps(storable(value)),
        **options,
    )


def make_sessions(engine: Engine) -> Sessions:
    """The sessions of an engine; what they loaded stays readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


def storable(value: Any) -> Any:
    """A JSON value without what PostgreSQL refuses in text: NUL and lone surrogates.

    Programs print anything, and what they print ends up in events and reports.
    """
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case _:
            return value


def init_app(app: Flask, engine: Engine) -> None:
    """Give requests their session: committed with a response, rolled back with an error."""
    app.extensions["sessions"] = make_sessions(engine)
    app.after_request(_commit)
    app.teardown_appcontext(_close)


def session() -> Session:
    """The session of this request, begun when first asked for."""
    if "session" not in g:
        g.session = current_app.extensions["sessions"]()
    return g.session


def rollback() -> None:
    """Undo what this request wrote; for the error handlers."""
    if "session" in g:
        g.session.rollback()


def _commit(response: Response) -> Response:
    if "session" in g:
        g.session.commit()
    return response


def _close(_: BaseException | None) -> None:
    if "session" in g:
        g.session.close()
