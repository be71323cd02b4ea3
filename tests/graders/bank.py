"""Hand-made histories of a bank that keeps its accounts as events. `Bank` tells them fact by fact,
and does what a correct program does unless it is told otherwise; `quiet_day` is a correct one."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from challenges.catalogue import load
from challenges.event_sourced_account.scenarios import expected, tally, told
from graders.checks import check
from graders.checks.finding import Finding
from graders.facts import Asked, Effect, Process
from graders.history import History, Recorder
from graders.verdicts import Verdict

CHALLENGE = load("event_sourced_account")
CHECKED = [use.id for use in CHALLENGE.checks]
GROUP, DEPOSITS = "deposits-service", "deposits.t1"
LONG_AGO = datetime(2026, 1, 5, 10, tzinfo=UTC)


class Bank(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last. The
    topics have one partition. `changes` holds each account's events as cents, `times` when each was
    recorded, `versions` that of each command."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, list[int]] = {}
        self.times: dict[str, list[datetime]] = {}
        self.versions: dict[str, int] = {}
        self.entry = 0
        self.records: list[dict[str, Any]] = []
        self.written = 0
        self.append(
            "scenario",
            challenge=CHALLENGE.name,
            scenario="a_bank",
            seed=7,
            driver="process",
            group=GROUP,
            topics={DEPOSITS: 1},
            outputs={"account-events.t1": 1},
            repeats=["account-events"],
        )

    def now(self) -> float:
        return len(self) / 100

    def open(self) -> None:
        """The program is started; what the log held before is given."""
        self.append("process", instance="app", what="started")
        self.append(
            "joined", instance="app", group=GROUP, member="app", generation=1, protocol="classic"
        )

    def event(self, account: str, change: int, id: str, **more: Any) -> Effect:
        """An event gets into the log; `more` may give it another version, format, time or row."""
        changes = self.changes.setdefault(account, [])
        version = more.pop("version", len(changes) + 1)
        format = more.pop("format", 2)
        at = more.pop("at", LONG_AGO + timedelta(seconds=len(self)))
        changes.append(change)
        self.times.setdefault(account, []).append(at)
        self.versions[id] = version
        self.entry += 1
        row = {"entry": self.entry, "account": account, "version": version, **told(change, format)}
        row |= {"recorded_at": at.isoformat(timespec="milliseconds")}
        ours = not self.of(Process)
        writer = {"ours": ours, "instance": None if ours else "app"}
        return self.effect("events", id, row | more.pop("row", {}), **writer | more)

    def effect(self, table: str, id: str, content: dict[str, Any], **more: Any) -> Effect:
        """Something was written to a table or topic."""
        place = {"row": len(self), "instance": "app", "txid": f"tx-{len(self)}"}
        fact = self.append(
            "effect",
            table=table,
            id=id,
            content=content,
            **place | {"committed_t": self.now()} | more,
        )
        assert isinstance(fact, Effect)
        return fact

    def publish(self, account: str, id: str, **changes: Any) -> Effect:
        """The event of a command is published."""
        version = self.versions.get(id, 1)
        change = self.changes[account][version - 1]
        type = "deposited" if change > 0 else "withdrawn"
        content = {"account": account, "version": version, "type": type, "amount": abs(change)}
        place = {"row": self.written, "partition": 0, "key": account, "txid": ""}
        self.written += 1
        return self.effect("account-events", id, content | changes, **place)

    def send(self, account: str, amount: int, id: str) -> int:
        """A deposit is sent and handed out; its offset."""
        offset = len(self.records)
        value = {"id": id, "account": account, "amount": amount}
        place = {"topic": DEPOSITS, "partition": 0, "offset": offset, "key": account, "id": id}
        self.append("sent", **place, value=value, expect=expected(value))
        self.records.append(place)
        where = {"topic": DEPOSITS, "partition": 0, "first": offset, "last": offset}
        self.append("fetched", instance="app", **where)
        return offset

    def deposit(self, account: str, amount: int, id: str) -> None:
        """A deposit comes in, for the first time or again, and is dealt with."""
        offset = self.send(account, amount, id)
        if id not in self.versions:
            self.event(account, amount, id)
            self.publish(account, id)
        place = {"topic": DEPOSITS, "partition": 0, "offset": offset + 1}
        self.append("commit", instance="app", group=GROUP, outcome="accepted", **place)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Asked:
        """A question and its answer: `status`, `answer`, and `since` when it is not just before."""
        about = {"instance": "app", "method": method, "path": path, "body": body}
        asked = {"since": len(self), "asked_t": self.now()}
        fact = self.append("asked", **about | asked | more)
        assert isinstance(fact, Asked)
        return fact

    def withdraw(
        self, account: str, amount: int, id: str, expects: int | None = None, **answer: Any
    ) -> Asked:
        """A withdrawal is asked and decided; an answer that is given is given instead."""
        since = len(self)
        if not answer:
            answer = self.decide(account, amount, id, expects)
        body = {"id": id, "amount": amount}
        body |= {} if expects is None else {"expected_version": expects}
        return self.ask(
            "POST", f"/accounts/{account}/withdrawals", body, **{"since": since} | answer
        )

    def decide(self, account: str, amount: int, id: str, expects: int | None) -> dict[str, Any]:
        """What a correct program does and answers."""
        changes = self.changes.get(account, [])
        if id not in self.versions:
            if expects not in (None, len(changes)):
                return {"status": 409, "answer": {}}
            if sum(changes) < amount:
                return {"status": 422, "answer": None}
            self.event(account, -amount, id)
            self.publish(account, id)
        version = self.versions[id]
        balance = sum(self.changes[account][:version])
        return {"status": 201, "answer": {"version": version, "balance": balance}}

    def until(self, account: str, version: int) -> list[int]:
        """The changes of an account until a version."""
        return self.changes.get(account, [])[:version]

    def at(self, account: str, time: datetime) -> int:
        """The version of an account at a time."""
        versions = [v for v, at in enumerate(self.times.get(account, ()), 1) if at <= time]
        return max(versions, default=0)

    def look(
        self, account: str, moment: str = "", version: int | None = None, **answer: Any
    ) -> None:
        """Ask for the state and the history of an account, right unless an answer is given;
        `version` is the one of the moment."""
        events = self.until(
            account, len(self.changes.get(account, ())) if version is None else version
        )
        told_of = {"account": account, "version": len(events)}
        history = [
            {"version": v, "type": "deposited" if c > 0 else "withdrawn", "amount": abs(c)}
            for v, c in enumerate(events, 1)
        ]
        status = 200 if events else 404
        for path, more in (("", {"balance": sum(events)}), ("/history", {"events": history})):
            right = {"status": status, "answer": told_of | more if events else {}}
            self.ask("GET", f"/accounts/{account}{path}{moment}", **right | answer)

    def snapshot(self, account: str, version: int, balance: int | None = None, **more: Any) -> None:
        """A snapshot is taken, a right one unless a balance is given."""
        right = sum(self.until(account, version))
        content = {"version": version, "balance": right if balance is None else balance}
        self.effect("snapshots", account, content, **more)

    def rest(self) -> None:
        """All is at rest."""
        self.append("settled", quiet=True, waited_s=0.4)

    def hold(self, what: str, id: str) -> None:
        """What becomes of a fault of the grader's, on the append of a command."""
        about = {"action": "hold", "target": "write to events", "row": {"command_id": id}}
        self.append("fault", fault="s1", what=what, **about)

    def end(
        self, *, quiet: bool = True, rewritten: Iterable[dict[str, Any]] | None = None
    ) -> History:
        """The finished history; `rewritten` are the rows of the log when they are not as they were
        appended."""
        if quiet:
            self.rest()
        self.append("phase", name="drain")
        for record in self.records:
            self.append("record", **record)
        rows = tally(self.of(Effect))["events"]
        self.append(
            "state",
            table="events",
            key=["entry"],
            rows=rows if rewritten is None else list(rewritten),
            expected=rows,
        )
        return History(self)


def quiet_day() -> Bank:
    """Two accounts, one of them with old events, and all that may be asked of them."""
    bank = Bank()
    for number, change in enumerate((10_000, -435, 29)):
        bank.event("acc-old", change, f"old-{number}", format=1)
    bank.open()
    bank.deposit("acc-1", 10_000, "dep-1")
    bank.withdraw("acc-1", 4_000, "wd-1", expects=1)
    bank.withdraw("acc-1", 9_000, "wd-2")
    bank.withdraw("acc-1", 10, "wd-3", expects=1)
    bank.withdraw("acc-1", 4_000, "wd-1", expects=1)
    bank.withdraw("acc-none", 1, "wd-4")
    bank.deposit("acc-1", 10_000, "dep-1")
    bank.deposit("acc-old", 700, "dep-2")
    for account in ("acc-1", "acc-old", "acc-none"):
        bank.look(account)
    bank.look("acc-1", "?version=1", 1)
    bank.look("acc-1", "?version=9", 0)
    bank.look("acc-old", "?at=2026-01-05T10:00:02.500Z", 2)
    bank.rest()
    bank.look("acc-1")
    return bank


def verdicts(history: History) -> dict[str, Verdict]:
    """What the challenge's checks found, by id."""
    return {finding.check: finding.verdict for finding in check(history, CHECKED)}


def findings(history: History, id: str) -> list[Finding]:
    """What one check found."""
    return check(history, [id])
