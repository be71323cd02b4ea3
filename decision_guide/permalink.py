"""Answers as a short text for a URL's fragment, which a browser never sends to a server.

Three bits a question, in the model's order: 0 open, 1 to 5 the answer, 6 not sure, 7 does not
apply; then two bits for each reason why one does not apply. 25 questions make 13 characters.
Notes, exact numbers and measures are left out: a number becomes the answer whose range holds it.
"""

from decision_guide.answers import REASONS, Answers, Given
from decision_guide.errors import GuideError
from decision_guide.model import Model

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NOT_SURE, _NOT_APPLICABLE = 6, 7


def encode(model: Model, answers: Answers) -> str:
    """MODEL.HASH.ANSWERS, the hash being the first 8 digits of the model's."""
    given = [answers.given.get(q.id) for q in model.questions]
    codes = "".join(f"{_code(g):03b}" for g in given)
    reasons = "".join(f"{REASONS.index(g.reason):02b}" for g in given if g and g.reason)
    return f"{model.id}.{model.hash[:8]}.{_packed(codes + reasons)}"


def decode(model: Model, text: str) -> Answers:
    """The answers of a permalink; GuideError when it is damaged or made for another model."""
    id, _, rest = text.partition(".")
    hash, _, packed = rest.partition(".")
    if not packed:
        raise GuideError.at("permalink", "is cut off, or no link to a result at all")
    if (id, hash) != (model.id, model.hash[:8]):
        made_for, here = f"{id}.{hash}", f"{model.id}.{model.hash[:8]}"
        raise GuideError.at("permalink", f"was made for model {made_for}, but this is {here}")
    bits = _unpacked(packed)
    size = 3 * len(model.questions)
    codes = [int(bits[i : i + 3], 2) for i in range(0, size, 3)] if len(bits) >= size else []
    reasons = [int(bits[i : i + 2], 2) for i in range(size, len(bits) - 1, 2)]
    if not codes or codes.count(_NOT_APPLICABLE) > len(reasons):
        raise GuideError.at("permalink", "is cut off")
    why = iter(reasons)
    found = {}
    for question, code in zip(model.questions, codes, strict=True):
        if _NOT_SURE > code > len(question.answers):
            raise GuideError.at("permalink", f"has no answer {code} to {question.id!r}")
        if code:
            reason = REASONS[next(why)] if code == _NOT_APPLICABLE else None
            found[question.id] = Given(level=code - 1 if code < _NOT_SURE else None, reason=reason)
    return Answers(found)


def _code(given: Given | None) -> int:
    if given is None:
        return 0
    if given.reason is not None:
        return _NOT_APPLICABLE
    return _NOT_SURE if given.level is None else given.level + 1


def _packed(bits: str) -> str:
    bits += "0" * (-len(bits) % 6)
    return "".join(_ALPHABET[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))


def _unpacked(text: str) -> str:
    if unknown := set(text) - set(_ALPHABET):
        raise GuideError.at("permalink", f"has characters that do not belong: {min(unknown)!r}")
    return "".join(f"{_ALPHABET.index(c):06b}" for c in text)
