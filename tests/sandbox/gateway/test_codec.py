"""The codec against messages built from Kafka's own definitions."""

import contextlib
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sandbox.gateway.codec import Body, Codec, UnknownMessage
from sandbox.gateway.definitions import Message, parse_definition
from sandbox.gateway.wire import UNKNOWN_TAGS, Malformed
from tests.sandbox.gateway.messages import bodies


def test_what_is_encoded_decodes_to_the_same_in_every_version(codec: Codec) -> None:
    for message in codec.messages():
        for version in message.versions:
            check_version(codec, message, version)


def check_version(codec: Codec, message: Message, version: int) -> None:
    """Try some messages of one version, whole and damaged: only Malformed may come of damage."""

    @settings(
        max_examples=2,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies(message, version), st.randoms(use_true_random=False))
    def check(body: Body, random: Random) -> None:
        encoded = codec.encode(message.name, version, body)
        assert codec.decode(message.name, version, encoded) == body
        assert codec.encode(message.name, version, body) == encoded
        damaged = bytearray(encoded)
        for place in random.sample(range(len(encoded)), min(3, len(encoded))):
            damaged[place] = random.randrange(256)
        with contextlib.suppress(Malformed):
            codec.decode(message.name, version, bytes(damaged[: random.randint(0, len(encoded))]))

    check()


def test_every_default_can_be_encoded(codec: Codec) -> None:
    for message in codec.messages():
        for version in message.versions:
            encoded = codec.encode(message.name, version, {})
            decoded = codec.decode(message.name, version, encoded)
            assert codec.encode(message.name, version, decoded) == encoded


def test_bytes_of_the_protocol_guide(codec: Codec) -> None:
    """The frames that a Kafka client sends and gets, written out by hand."""
    request = codec.encode_request("Heartbeat", 4, 7, "me", {"GroupId": "g", "MemberId": "m"})
    assert request == bytes.fromhex(
        "00000017 000c 0004 00000007 0002 6d65 00 0267 00000000 026d 00 00"
    )
    answer = codec.encode_response("Heartbeat", 4, 7, {"ErrorCode": 27})
    assert answer == bytes.fromhex("0000000c 00000007 00 00000000 001b 00")
    assert codec.decode_response("Heartbeat", 4, memoryview(answer)[4:])["ErrorCode"] == 27


def test_request_header(codec: Codec) -> None:
    frame = codec.encode_request("Metadata", 12, -5, "klient ü", {"Topics": None})
    header = codec.request_header(memoryview(frame)[4:])
    assert header[:4] == (3, 12, -5, "klient ü")
    body = codec.decode_request("Metadata", 12, memoryview(frame)[4:], header.body_at)
    assert body["Topics"] is None and body["AllowAutoTopicCreation"] is True


def test_api_versions_response_has_the_old_header_in_all_versions(codec: Codec) -> None:
    assert codec.encode_response("ApiVersions", 4, 1, {})[4:10] == bytes.fromhex("00000001 0000")


@pytest.mark.parametrize("cut", range(11))
def test_short_header_is_malformed(codec: Codec, cut: int) -> None:
    frame = codec.encode_request("Heartbeat", 4, 7, "me", {})
    with pytest.raises(Malformed):
        codec.request_header(memoryview(frame)[4 : 4 + cut])


def test_lengths_beyond_the_message_are_refused_before_they_are_allocated(codec: Codec) -> None:
    billion = (1_000_000_000).to_bytes(4)
    with pytest.raises(Malformed, match="array"):
        codec.decode("MetadataRequest", 1, billion)
    with pytest.raises(Malformed, match="past the end"):
        codec.decode("SyncGroupResponse", 0, bytes(2) + billion)


def test_unknown_message_version_and_field(codec: Codec) -> None:
    with pytest.raises(UnknownMessage, match="MetadataRequest v99"):
        codec.decode("MetadataRequest", 99, b"")
    with pytest.raises(ValueError, match="Grouped"):
        codec.encode("HeartbeatRequest", 4, {"Grouped": "g"})
    with pytest.raises(ValueError, match="cannot be null"):
        codec.encode("HeartbeatRequest", 4, {"GroupId": None})


def test_known_and_unknown_tags_are_kept(codec: Codec) -> None:
    body = {"ClusterId": "c", UNKNOWN_TAGS: {7: b"seven"}}
    decoded = codec.decode("FetchRequest", 12, codec.encode("FetchRequest", 12, body))
    assert decoded["ClusterId"] == "c" and decoded[UNKNOWN_TAGS] == {7: b"seven"}
    assert "ClusterId" not in codec.decode("FetchRequest", 12, codec.encode("FetchRequest", 12, {}))


def test_comments_in_definitions() -> None:
    message = parse_definition(
        """
        // A licence.
        { "type": "data", "name": "Sample", "validVersions": "0-2", // end
          "fields": [ { "name": "Url", "type": "string", "versions": "1+", "default": "a//b" } ] }
        """
    )
    assert message.fields[0].default == "a//b"
    assert list(message.versions) == [0, 1, 2]
    assert 2 in message.fields[0].versions and 0 not in message.fields[0].versions
