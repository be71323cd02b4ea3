"""Answers that the gateway gives in the broker's place: a legal response that carries an error."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.gateway.codec import Body
from sandbox.gateway.errors import ErrorCode, error_code

_SESSION_ERRORS = (
    ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode.INVALID_FETCH_SESSION_EPOCH,
    ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
)


def can_answer(api: str) -> bool:
    """Whether `error_body` knows this API."""
    return api in _BUILDERS


def error_body(api: str, request: Body, error: str) -> Body:
    """Return the body of a response of `api` that refuses all of `request` with one error.

    Raises ValueError when Kafka has no such error, KeyError when `can_answer` is false.
    """
    return _BUILDERS[api](request, error_code(error))


def metadata_with_error(response: Body, error: str) -> Body:
    """Return the broker's Metadata response with an error for every topic in it."""
    code = error_code(error)
    whole = code != ErrorCode.LEADER_NOT_AVAILABLE  # which is said of each partition
    leaderless = {"ErrorCode": code, "LeaderId": -1}
    topics = [
        topic | {"ErrorCode": code, "Partitions": []}
        if whole
        else topic | {"Partitions": [each | leaderless for each in topic["Partitions"]]}
        for topic in response["Topics"]
    ]
    return response | {"Topics": topics}


def _whole(request: Body, code: int) -> Body:
    return {"ErrorCode": code}


def _name(row: Body) -> Body:
    return {key: row[key] for key in ("Name", "Topic", "TopicId") if key in row}


def _per_partition(
    request_rows: str, response_rows: str, partitions: str, row: Callable[[Any], Body]
) -> Callable[[Body, int], Body]:
    """Build the answer of an API that answers for every partition of every topic."""
    requested = "PartitionData" if request_rows == "TopicData" else "Partitions"

    def build(request: Body, code: int) -> Body:
        return {
            response_rows: [
                {
                    **_name(topic),
                    partitions: [row(p) | {"ErrorCode": code} for p in topic[requested]],
                }
                for topic in request[request_rows]
            ]
        }

    return build


def _index(partition: Body) -> Body:
    return {"PartitionIndex": partition["PartitionIndex"]}


def _rows(target: str, rows: Callable[[Body], Iterable[Body]]) -> Callable[[Body, int], Body]:
    """Build the answer of an API that answers for every row of one array."""
    return lambda request, code: {target: [row | {"ErrorCode": code} for row in rows(request)]}


_fetch_partitions = _per_partition(
    "Topics",
    "Responses",
    "Partitions",
    lambda p: {"PartitionIndex": p["Partition"], "HighWatermark": -1, "AbortedTransactions": None},
)


def _fetch(request: Body, code: int) -> Body:
    if code in _SESSION_ERRORS:
        return {"ErrorCode": code}
    return _fetch_partitions(request, code)


def _find_coordinator(request: Body, code: int) -> Body:
    nobody = {"NodeId": -1, "Host": "", "Port": -1, "ErrorCode": code, "ErrorMessage": None}
    return nobody | {
        "Coordinators": [nobody | {"Key": key} for key in request.get("CoordinatorKeys", ())]
    }


def _add_partitions(request: Body, code: int) -> Body:
    def results(topics: list[Body]) -> list[Body]:
        return [
            {
                "Name": topic["Name"],
                "ResultsByPartition": [
                    {"PartitionIndex": index, "PartitionErrorCode": code}
                    for index in topic["Partitions"]
                ],
            }
            for topic in topics
        ]

    return {
        "ErrorCode": code,
        "ResultsByTopicV3AndBelow": results(request.get("V3AndBelowTopics", [])),
        "ResultsByTransaction": [
            {"TransactionalId": each["TransactionalId"], "TopicResults": results(each["Topics"])}
            for each in request.get("Transactions", [])
        ],
    }


def _offset_fetch(request: Body, code: int) -> Body:
    partition = {"CommittedOffset": -1, "Metadata": None, "ErrorCode": code}
    topics = [
        {
            "Name": topic["Name"],
            "Partitions": [partition | {"PartitionIndex": i} for i in topic["PartitionIndexes"]],
        }
        for topic in request.get("Topics") or []
    ]
    groups = [{"GroupId": each["GroupId"], "ErrorCode": code} for each in request.get("Groups", [])]
    return {"ErrorCode": code, "Topics": topics, "Groups": groups}


def _delete_topics_rows(request: Body) -> list[Body]:
    return [{"Name": name} for name in request.get("TopicNames", [])] + [
        _name(topic) for topic in request.get("Topics", [])
    ]


def _config_rows(request: Body) -> list[Body]:
    keys = ("ResourceType", "ResourceName")
    return [{k: r[k] for k in keys} | {"ErrorMessage": None} for r in request["Resources"]]


_BUILDERS: dict[str, Callable[[Body, int], Body]] = {
    "Produce": _per_partition(
        "TopicData",
        "Responses",
        "PartitionResponses",
        lambda p: {"Index": p["Index"], "BaseOffset": -1},
    ),
    "Fetch": _fetch,
    "OffsetCommit": _per_partition("Topics", "Topics", "Partitions", _index),
    "TxnOffsetCommit": _per_partition("Topics", "Topics", "Partitions", _index),
    "ListOffsets": _per_partition("Topics", "Topics", "Partitions", _index),
    "OffsetForLeaderEpoch": _per_partition(
        "Topics", "Topics", "Partitions", lambda p: {"Partition": p["Partition"]}
    ),
    "DeleteRecords": _per_partition(
        "Topics", "Topics", "Partitions", lambda p: _index(p) | {"LowWatermark": -1}
    ),
    "OffsetFetch": _offset_fetch,
    "FindCoordinator": _find_coordinator,
    "AddPartitionsToTxn": _add_partitions,
    "CreateTopics": _rows(
        "Topics", lambda r: [_name(t) | {"ErrorMessage": None} for t in r["Topics"]]
    ),
    "CreatePartitions": _rows("Results", lambda r: [_name(t) for t in r["Topics"]]),
    "DeleteTopics": _rows("Responses", _delete_topics_rows),
    "DeleteGroups": _rows("Results", lambda r: [{"GroupId": g} for g in r["GroupsNames"]]),
    "DescribeGroups": _rows("Groups", lambda r: [{"GroupId": g} for g in r["Groups"]]),
    "ConsumerGroupDescribe": _rows("Groups", lambda r: [{"GroupId": g} for g in r["GroupIds"]]),
    "AlterConfigs": _rows("Responses", _config_rows),
    "IncrementalAlterConfigs": _rows("Responses", _config_rows),
    "DescribeConfigs": _rows("Results", _config_rows),
    "DescribeTopicPartitions": _rows("Topics", lambda r: [_name(t) for t in r["Topics"]]),
    "CreateAcls": _rows("Results", lambda r: [{"ErrorMessage": None} for _ in r["Creations"]]),
} | dict.fromkeys(
    (
        "JoinGroup",
        "SyncGroup",
        "Heartbeat",
        "LeaveGroup",
        "ConsumerGroupHeartbeat",
        "InitProducerId",
        "AddOffsetsToTxn",
        "EndTxn",
        "OffsetDelete",
        "ListGroups",
        "DescribeCluster",
    ),
    _whole,
)
