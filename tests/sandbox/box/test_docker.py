"""What is the Docker driver's alone; what both drivers do is in the tests of boxes."""

import json

import pytest

from sandbox.box import Box, BoxError
from sandbox.box.docker.stream import Frames
from sandbox.box.output import Budget, Lines, Metered
from sandbox.box.seccomp import DENIED, IOCTLS, UNKNOWN, masks_of_all_but, profile


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_both_streams_come_out_of_one_however_it_is_cut(size):
    lines: list[tuple[str, str]] = []
    budget = Budget(10_000, lambda: None)
    stdout, stderr = (
        Metered(budget, Lines(name, lambda name, line: lines.append((name, line))))
        for name in ("stdout", "stderr")
    )
    sent = frame(1, b"one\ntw") + frame(2, b"warning\n") + frame(1, b"") + frame(1, b"o\n")
    frames = Frames(stdout, stderr)
    for start in range(0, len(sent), size):
        frames.take(sent[start : start + size])
    assert lines == [("stdout", "one"), ("stderr", "warning"), ("stdout", "two")]


@pytest.mark.parametrize("number", [0, 1, 0x5401, 0x5411, 0x5413, 0x541B, 0x541D, 0xFFFFFFFF])
def test_every_number_but_two_agrees_with_a_mask(number):
    assert any(number & mask == value for mask, value in masks_of_all_but(*IOCTLS))


@pytest.mark.parametrize("number", IOCTLS)
def test_those_two_agree_with_none_whatever_the_upper_half_says(number):
    masks = list(masks_of_all_but(*IOCTLS))
    for upper in (0, 1 << 32, 0xFFFFFFFF << 32):
        assert not any((number | upper) & mask == value for mask, value in masks)


def test_profile_allows_no_call_that_the_filter_denies():
    rules = json.loads(profile())["syscalls"]
    allowed = {
        name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    }
    assert not allowed & {*DENIED, *UNKNOWN}
    assert {"read", "futex", "epoll_wait", "socket", "clone"} <= allowed


@pytest.mark.services
async def test_no_engine_is_told_with_where_it_was_looked_for(tmp_path, own_state, monkeypatch):
    monkeypatch.setenv("OFFSETZERO_DRIVER", "docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(BoxError, match="Docker engine failed"):
        await Box.start("app", command=["true"], source=tmp_path, on_output=print)
    assert not list((own_state / "scratch").iterdir())


@pytest.mark.services
async def test_unknown_driver_is_told_with_those_there_are(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFSETZERO_DRIVER", "vm")
    with pytest.raises(BoxError, match="'vm'; set it to process or docker"):
        await Box.start("app", command=["true"], source=tmp_path, on_output=print)
