"""Services that the grader plays for a program that sends them commands and gets answers.

A participant is idempotent by the command's id: asked again, it does nothing again and gives the
same answer. What a command does is the challenge's business (a `Deed` for each action). How well
the participant behaves is the scenario's: a `Script` for one action of one unit of work, or silence
for all. Everything it does is a `Performed` fact.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graders.conditions import Condition
from graders.facts import Output, Performed
from graders.spec import OutputRecord

if TYPE_CHECKING:
    from graders.lab import Lab

DONE, REFUSED, UNAVAILABLE, IGNORED, REPEATED = (
    "done", "refused", "unavailable", "ignored", "repeated",
)  # fmt: skip
# How long a participant waits for the moment its script speaks of, before it goes on without.
MOST_LATE_S = 20.0


@dataclass(frozen=True)
class Command:
    """A command as a participant reads it: `subject` is the unit of work, such as an order."""

    id: str
    subject: str
    action: str
    value: Mapping[str, Any]

    @property
    def step(self) -> tuple[str, str]:
        """The unit of work and the action: what a script is for."""
        return self.subject, self.action


@dataclass(frozen=True)
class Script:
    """How a participant treats one action of one unit of work; by itself it does it and answers.

    refuses: it says no for good. unavailable: so often it does nothing and asks to be asked again.
    lost: so many of its answers are lost. copies: how often it sends each answer. does_when: it
    does nothing, and answers nothing, before this holds. busy: asked again before that, it says
    that it is unavailable. answers_when: it does it at once, and answers only when this holds.
    """

    refuses: bool = False
    unavailable: int = 0
    lost: int = 0
    copies: int = 1
    does_when: Condition | None = None
    busy: bool = False
    answers_when: Condition | None = None


Deed = Callable[[Command], tuple[str, Mapping[str, Any]]]
Answer = Callable[[Command, str], Mapping[str, Any]]
Read = Callable[[OutputRecord], Command | None]


@dataclass
class Participant:
    """One service, from the moment it `attends` to a topic of commands.

    deeds: by action, what a command does: (outcome, what moved). read: the command in a record,
    None when it is none. answer: the value of the record that tells of a status; its key is the
    command's subject. replies: the topic for answers.
    """

    lab: "Lab"
    name: str
    replies: str
    deeds: Mapping[str, Deed]
    read: Read
    answer: Answer
    scripts: dict[tuple[str, str], Script] = field(default_factory=dict)
    silent: bool = False
    _waiting: list[Command] = field(default_factory=list)
    _statuses: dict[str, str] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _answers: Counter[tuple[str, str]] = field(default_factory=Counter)

    def attend(self, topic: str) -> None:
        """Take up what the program writes to this topic from now on."""
        self.lab.participants.append(self)
        self.lab.react(topic, self._take)

    def silence(self) -> None:
        """Neither do nor answer anything from now on; commands wait."""
        self.silent = True
        self.lab.tell(f"{self.name} falls silent.")

    async def heal(self) -> None:
        """Work again, beginning with the commands that wait."""
        self.silent = False
        self.lab.tell(f"{self.name} works again.")
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            await self._deal_with(command)

    async def _take(self, record: OutputRecord) -> None:
        command = self.read(record)
        if command is None:
            self.lab.tell(
                f"{self.name} cannot read {record.topic}-{record.partition}@{record.offset}."
            )
        elif self.silent:
            self._waiting.append(command)
        else:
            await self._deal_with(command)

    async def _deal_with(self, command: Command) -> None:
        script = self._script(command)
        self._asked[command.step] += 1
        if command.id in self._statuses:
            self._note(command, REPEATED, {})
            await self._reply(command, self._statuses[command.id])
        elif self._asked[command.step] <= script.unavailable:
            self._note(command, UNAVAILABLE, {})
            await self._reply(command, UNAVAILABLE)
        elif script.does_when is None:
            await self._do(command)
        elif command.id not in self._begun:
            self._begun.add(command.id)
            self.lab.promise(self._do_when(command, script.does_when))
        elif script.busy:
            self._note(command, UNAVAILABLE, {})
            await self._reply(command, UNAVAILABLE)

    async def _do_when(self, command: Command, moment: Condition) -> None:
        await self.lab.reached(moment, within=MOST_LATE_S)
        await self._do(command)

    async def _do(self, command: Command) -> None:
        script = self._script(command)
        outcome, moved = (REFUSED, {}) if script.refuses else self.deeds[command.action](command)
        # What needed no doing counts as done for whoever asked.
        self._statuses[command.id] = DONE if outcome == IGNORED else outcome
        self._note(command, outcome, moved)
        if script.answers_when is None:
            await self._reply(command, self._statuses[command.id])
        else:
            self.lab.promise(self._reply_when(command, script.answers_when))

    async def _reply_when(self, command: Command, moment: Condition) -> None:
        await self.lab.reached(moment, within=MOST_LATE_S)
        await self._reply(command, self._statuses[command.id])

    async def _reply(self, command: Command, status: str) -> None:
        """Send an answer as often as the script says, if it is not one that gets lost."""
        script = self._script(command)
        self._answers[command.step] += 1
        if self._answers[command.step] <= script.lost:
            self.lab.tell(f"The answer of {self.name} to {command.id} is lost.")
            return
        id = f"{command.id}~{self._answers[command.step]}"
        for _ in range(script.copies):
            await self.lab.answer(self.replies, id, command.subject, self.answer(command, status))

    def _script(self, command: Command) -> Script:
        return self.scripts.get(command.step, Script())

    def _note(self, command: Command, outcome: str, moved: Mapping[str, Any]) -> None:
        self.lab.history.append(
            "performed",
            participant=self.name,
            action=command.action,
            id=command.id,
            subject=command.subject,
            outcome=outcome,
            content=dict(moved),
        )


def commanded(subject: str, *actions: str, times: int = 1) -> Condition:
    """The program has sent so many commands with these actions for a unit of work."""
    return Condition(
        f"{' or '.join(actions)} of {subject} to be commanded",
        lambda h: sum(is_command(o, subject, actions) for o in h.of(Output)) >= times,
    )


def is_command(output: Output, subject: str, actions: tuple[str, ...]) -> bool:
    """Whether a record is a command with one of these actions for a unit of work."""
    value = output.value if isinstance(output.value, dict) else {}
    return value.get("action") in actions and subject in value.values()


def performed(subject: str, action: str, outcome: str = DONE) -> Condition:
    """A participant has dealt so with an action for a unit of work."""
    return Condition(
        f"{action} of {subject} to be {outcome}",
        lambda h: any(
            (p.subject, p.action, p.outcome) == (subject, action, outcome) for p in h.of(Performed)
        ),
    )
