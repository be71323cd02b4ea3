"""Waiting for each other, so that a button pressed twice does its thing once."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def one_at_a_time(db: Session, what: str) -> None:
    """Wait until no other transaction does the thing of this name, and keep others from it until
    this one ends."""
    db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"guide {what}", 0))))
