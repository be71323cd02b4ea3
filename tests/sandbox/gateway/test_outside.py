import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gateway.outside import HttpRequest, read_json

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=100) | st.text('[]{}"\\\\u0e1,:-NaI ', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = read_json(data)
    except ValueError:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("body", [None, [1], "text", {"other": 1}])
def test_a_field_that_is_not_there(body: object) -> None:
    assert HttpRequest("POST", "/", body=body).field("order") is None
