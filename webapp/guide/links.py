"""Links that are their own key: an id, signed, so that only we can have made it.

Nothing of them is stored. Whoever has the link may do what it is for, until the row is gone.
"""

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

FACILITATOR, RATER = "guide facilitator", "guide rater"


def token(purpose: str, id: str | int) -> str:
    """The token for a link to the thing of this id."""
    return _serializer(purpose).dumps(id)


def id_of(purpose: str, token: str) -> str | int | None:
    """The id in a token that was made for this purpose; None for any other token."""
    try:
        return _serializer(purpose).loads(token)
    except BadSignature:
        return None


def _serializer(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt=purpose)
