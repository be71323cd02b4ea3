"""Topic names behind the topic ids that newer versions of the protocol use."""

from collections.abc import Iterable

from sandbox.gateway.codec import Body
from sandbox.gateway.link import Link

_METADATA_VERSION = 12
_NO_ID = bytes(16)


class TopicNames:
    """Ids and names, learned from the Metadata responses that pass, or asked for."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._names: dict[bytes, str] = {}

    def learn(self, topics: Iterable[Body]) -> None:
        """Remember the names of topics as a Metadata response lists them."""
        for topic in topics:
            if topic.get("TopicId", _NO_ID) != _NO_ID and topic["Name"] is not None:
                self._names[topic["TopicId"]] = topic["Name"]

    def fill(self, rows: Iterable[Body], key: str = "Name") -> None:
        """Put the name into every row that has only an id; None when nobody told us yet."""
        for row in rows:
            if "TopicId" in row:
                row[key] = self._names.get(row["TopicId"])

    async def ask(self, ids: Iterable[bytes]) -> None:
        """Ask the broker when one of `ids` is unknown. Raises BrokerUnreachable."""
        if not all(each in self._names for each in ids):
            self.learn(
                (await self._link.call("Metadata", _METADATA_VERSION, _ALL_TOPICS))["Topics"]
            )


_ALL_TOPICS: Body = {"Topics": None, "AllowAutoTopicCreation": False}
