"""Refusals and injected errors must be what a broker could have sent."""

import pytest

from sandbox.gateway.codec import Codec
from sandbox.gateway.errors import LEGAL_ERRORS, ErrorCode, error_code, error_for, error_name
from sandbox.gateway.replies import _BUILDERS, can_answer, error_body, metadata_with_error
from tests.sandbox.gateway.messages import sample


def codes(body: object) -> list[int]:
    """Every error code in a response."""
    if isinstance(body, list):
        return [code for each in body for code in codes(each)]
    if not isinstance(body, dict):
        return []
    own = [value for key, value in body.items() if key in ("ErrorCode", "PartitionErrorCode")]
    return own + [code for value in body.values() for code in codes(value)]


@pytest.mark.parametrize("api", sorted(_BUILDERS))
def test_in_every_version_the_answer_refuses_all_that_was_asked(codec: Codec, api: str) -> None:
    (message,) = (m for m in codec.messages() if m.name == f"{api}Request")
    name = f"{api}Response"
    for version in message.versions:
        request = sample(message, version)
        answer = codec.encode(name, version, error_body(api, request, "INVALID_REQUEST"))
        decoded = codec.decode(name, version, answer)
        if api == "Fetch":
            decoded.pop("ErrorCode", None)  # of the session, which is well
        assert set(codes(decoded)) == {ErrorCode.INVALID_REQUEST}


def test_an_answer_names_every_partition_that_was_asked_for(codec: Codec) -> None:
    request = {
        "GroupId": "g",
        "Topics": [
            {"Name": "a", "Partitions": [{"PartitionIndex": 0}, {"PartitionIndex": 2}]},
            {"Name": "b", "Partitions": [{"PartitionIndex": 1}]},
        ],
    }
    answer = error_body("OffsetCommit", request, "NOT_COORDINATOR")
    places = [(t["Name"], p["PartitionIndex"]) for t in answer["Topics"] for p in t["Partitions"]]
    assert places == [("a", 0), ("a", 2), ("b", 1)]
    assert set(codes(answer)) == {ErrorCode.NOT_COORDINATOR}


def test_a_fetch_session_error_stands_at_the_top() -> None:
    request = {"Topics": [{"Topic": "a", "Partitions": [{"Partition": 0}]}]}
    error = "FETCH_SESSION_ID_NOT_FOUND"
    assert error_body("Fetch", request, error) == {"ErrorCode": ErrorCode[error]}
    assert "ErrorCode" not in error_body("Fetch", request, "NOT_LEADER_OR_FOLLOWER")


@pytest.mark.parametrize("error", LEGAL_ERRORS["Metadata"])
def test_in_every_version_a_metadata_error_is_said_of_every_topic(codec: Codec, error: str) -> None:
    (message,) = (m for m in codec.messages() if m.name == "MetadataResponse")
    for version in message.versions:
        told = metadata_with_error(sample(message, version), error)
        decoded = codec.decode(message.name, version, codec.encode(message.name, version, told))
        assert ErrorCode[error] in codes(decoded["Topics"])
        assert decoded["Brokers"]


@pytest.mark.parametrize("error", ["PRODUCER_FENCED", "TRANSACTION_ABORTABLE"])
def test_what_an_older_client_is_told_is_legal_as_well(error: str) -> None:
    for api, names in LEGAL_ERRORS.items():
        assert error not in names or error_for(api, 0, error) in names
        assert error_for(api, 99, error) == error


def test_every_error_that_may_be_injected_can_be_answered() -> None:
    for api, names in LEGAL_ERRORS.items():
        assert can_answer(api) is (api != "Metadata")
        for name in names:
            assert error_name(error_code(name)) == name


def test_error_codes_are_those_of_another_implementation() -> None:
    """librdkafka and we wrote the table down independently."""
    from confluent_kafka import KafkaError

    same = [e for e in ErrorCode if e > 0 and KafkaError(int(e)).name() == e.name]
    assert len(same) > 80
    ours = {e.name: int(e) for e in ErrorCode}
    theirs = {KafkaError(code).name(): code for code in range(1, 137)}
    assert all(ours[name] == code for name, code in theirs.items() if name in ours)


def test_unknown_error() -> None:
    with pytest.raises(ValueError, match="no error OOPS"):
        error_code("OOPS")
    assert error_name(0) is None
