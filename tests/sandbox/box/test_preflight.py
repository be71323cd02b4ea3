"""Each promise of a box is tried out, and a broken one is noticed."""

import sys

import pytest

from sandbox.box import BoxError, Exit, check_level
from sandbox.box import assurance as found
from sandbox.box.preflight import _facts, _judged, _limited, preflight

GOOD = [
    "Uid:\t10001\t10001\t10001\t10001",
    "CapEff:\t0000000000000000",
    "CapBnd:\t0000000000000000",
    "NoNewPrivs:\t1",
    "Seccomp:\t2",
    "interface lo",
    *(f"ns/{kind} {kind}:[1]" for kind in ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup")),
]


@pytest.mark.services
async def test_both_drivers_hold_what_a_box_promises(driver, own_state):
    assert [claim for claim in await preflight() if not claim.holds] == []


def judged(lines: list[str]) -> dict[str, bool]:
    return {claim.what: claim.holds for claim in _judged(_facts(lines))}


def test_a_box_as_promised_breaks_no_promise():
    assert set(judged(GOOD).values()) == {True}


@pytest.mark.parametrize(
    ("what", "instead_of", "found"),
    [
        ("network", "interface lo", "interface eth0"),
        ("network", "", "route eth0 0001000A"),
        ("privileges", "CapEff:\t0000000000000000", "CapEff:\t00000000a80425fb"),
        ("privileges", "CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff"),
        ("privileges", "NoNewPrivs:\t1", "NoNewPrivs:\t0"),
        ("privileges", GOOD[0], "Uid:\t0\t0\t0\t0"),
        ("system calls", "Seccomp:\t2", "Seccomp:\t0"),
        ("files", "", "writable /usr"),
        ("environment", "", "canary seen"),
        ("namespaces", "ns/ipc ipc:[1]", ""),
    ],
)
def test_a_broken_promise_is_noticed_and_no_other(what, instead_of, found):
    lines = [line for line in [*(one for one in GOOD if one != instead_of), found] if line]
    assert [name for name, holds in judged(lines).items() if not holds] == [what]


def test_a_box_that_printed_nothing_promises_nothing():
    assert not all(judged([]).values())


def test_a_bomb_that_is_not_stopped_is_noticed():
    ended = Exit(0, None, "exited")
    assert [claim.holds for claim in _limited(ended, ended)] == [False, False]


@pytest.mark.parametrize(
    ("level", "asked", "strangers", "enough"),
    [
        ("full", "", True, True),
        ("basic", "", True, False),
        ("basic", "", False, True),
        ("basic", "full", False, False),
        ("basic", "basic", True, True),
    ],
)
def test_strangers_are_served_at_the_level_that_is_asked_for(
    monkeypatch, level, asked, strangers, enough
):
    monkeypatch.setenv("OFFSETZERO_ASSURANCE", asked)
    gaps = () if level == "full" else ("Memory is watched, not capped.",)
    answer = type(found())(level, "process", "rlimits", True, gaps)
    monkeypatch.setattr(sys.modules["sandbox.box.assurance"], "assurance", lambda: answer)
    if enough:
        check_level(strangers)
    else:
        with pytest.raises(BoxError, match="level 'basic' here, and 'full' is required"):
            check_level(strangers)


def test_a_level_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("OFFSETZERO_ASSURANCE", "high")
    with pytest.raises(BoxError, match="'high'; set it to basic or full"):
        check_level()
