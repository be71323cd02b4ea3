"""Hand-made histories of bookings that are changed in a database and announced in a topic. `Play`
tells them fact by fact, and `steady` is a correct one."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from challenges.catalogue import load
from graders.checks import check
from graders.facts import Effect, Output
from graders.history import History, Recorder
from graders.verdicts import Verdict

CHALLENGE = load("transactional_outbox")
CHECKED = [use.id for use in CHALLENGE.checks]
GROUP = "commands-service"
COMMANDS, EVENTS = "commands.t1", "events.t1"


class Play(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[dict[str, Any]] = []
        self.versions: dict[str, int] = {}
        self.seats: dict[str, int] = {}
        self.ids = 0
        self.written: dict[int, int] = {}
        self.append(
            "scenario",
            challenge=CHALLENGE.name,
            scenario="a_play",
            seed=7,
            driver="process",
            group=GROUP,
            topics={COMMANDS: 1},
            outputs={EVENTS: 3},
            outbox=asdict(CHALLENGE.outbox) if CHALLENGE.outbox else {},
        )
        self.start()

    def now(self) -> float:
        return len(self) / 100

    def start(self, instance: str = "app") -> None:
        """An instance starts and takes the commands."""
        self.append("process", instance=instance, what="started")
        member = {"instance": instance, "group": GROUP, "member": instance, "generation": 1}
        self.append("joined", **member, protocol="classic")
        self.append("assigned", **member, partitions=[[COMMANDS, 0]])

    def send(self, id: str, booking: str, seats: int) -> int:
        """The grader sends a command, which is handed to the program; its offset."""
        offset = len(self.log)
        place = {"topic": COMMANDS, "partition": 0, "offset": offset}
        value = {"id": id, "booking": booking, "seats": seats}
        self.log.append({**place, "key": booking, "id": id})
        expect = {"outbox": {"booking": booking, "seats": seats}}
        self.append("sent", **place, key=booking, id=id, value=value, expect=expect)
        lane = {"topic": COMMANDS, "partition": 0}
        self.append("fetched", instance="app", **lane, first=offset, last=offset)
        return offset

    def commit(self, offset: int) -> None:
        """The program commits past a command."""
        self.append(
            "commit",
            instance="app",
            group=GROUP,
            topic=COMMANDS,
            partition=0,
            offset=offset + 1,
            outcome="accepted",
        )

    def draw_id(self) -> int:
        """The next id of the outbox."""
        self.ids += 1
        return self.ids

    def row(self, change: str, booking: str, seats: int, id: int = 0, ours: bool = False) -> Effect:
        """A change is committed, by the program or (`ours`) by the back office."""
        self.versions[booking] = version = self.versions.get(booking, 0) + 1
        self.seats[booking] = seats
        id = id or self.draw_id()
        fact = self.append(
            "effect",
            table="outbox",
            row=id,
            id=change,
            content={"id": id, "booking": booking, "version": version, "seats": seats},
            instance=None if ours else "app",
            txid=str(id),
            committed_t=self.now(),
            ours=ours,
        )
        assert isinstance(fact, Effect)
        return fact

    def office(self, booking: str, seats: int, id: int = 0) -> Effect:
        """The back office commits a change."""
        return self.row(f"off-{len(self)}", booking, seats, id, ours=True)

    def publish(self, row: Effect, partition: int = 0, key: str | None = "", **more: Any) -> Output:
        """The program publishes the event of a row, with other fields where told."""
        told = {name: row.content[name] for name in ("booking", "version", "seats")}
        value = {"event_id": f"evt-{row.content['id']}"} | told | more
        return self.say(value, partition, row.content["booking"] if key == "" else key)

    def say(self, value: Any, partition: int = 0, key: str | None = None) -> Output:
        """The program writes a record."""
        offset = self.written.get(partition, 0)
        self.written[partition] = offset + 1
        place = {"topic": "events", "partition": partition, "offset": offset}
        fact = self.append("output", **place, key=key, value=value, instance="app")
        assert isinstance(fact, Output)
        return fact

    def mark(self, row: Effect) -> None:
        """The program marks a row."""
        self.append(
            "marked",
            table="outbox",
            id=row.id,
            content=row.content,
            instance="app",
            committed_t=self.now(),
        )

    def relay(self, *rows: Effect) -> None:
        """Publish rows, then mark them."""
        for row in rows:
            self.publish(row)
        for row in rows:
            self.mark(row)

    def settle(self, quiet: bool = True) -> None:
        """A wait for quiet ends."""
        self.append("settled", quiet=quiet, waited_s=0.4)

    def aftershock(self) -> None:
        """All is stopped and started again."""
        self.append("phase", name="aftershock")
        self.append("process", instance="app", what="stopped", code=0)
        self.start()

    def end(self, quiet: bool = True) -> History:
        """The finished history, with the state that the rows made."""
        self.settle(quiet)
        self.append("phase", name="drain")
        for record in self.log:
            self.append("record", **record)
        rows = [
            {"booking": booking, "version": version, "seats": self.seats[booking]}
            for booking, version in self.versions.items()
        ]
        state = {"table": "bookings", "key": ["booking"], "rows": rows, "expected": rows}
        self.append("state", **state)
        return History(self)


def steady() -> Play:
    """Two commands and two changes of the back office about two bookings, all published."""
    play = Play()
    first = play.send("cmd-1", "bkg-a", 4)
    one = play.row("cmd-1", "bkg-a", 4)
    play.commit(first)
    two = play.office("bkg-b", 2)
    play.relay(one, two)
    second = play.send("cmd-2", "bkg-b", 3)
    three = play.row("cmd-2", "bkg-b", 3)
    play.commit(second)
    four = play.office("bkg-a", 0)
    play.relay(three, four)
    return play


def verdicts(history: History, ids: Iterable[str] = CHECKED) -> dict[str, Verdict]:
    """What the challenge's checks found, by id: the first finding's verdict."""
    found: dict[str, Verdict] = {}
    for finding in check(history, ids):
        found.setdefault(finding.check, finding.verdict)
    return found
