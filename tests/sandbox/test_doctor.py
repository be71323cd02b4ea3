import os
import socket
import tempfile
from pathlib import Path

import pytest

from sandbox import doctor
from sandbox.doctor import examine, namespaces_remedy, probe_folders, probe_port


@pytest.mark.services
def test_a_machine_that_runs_these_tests_has_all_that_is_needed():
    probes = list(examine())
    assert [probe for probe in probes if probe.state == "broken"] == []
    assert {"bubblewrap", "box, network", "assurance"} <= {probe.what for probe in probes}


def test_whatever_is_not_ok_has_a_remedy_and_only_that(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_MB", 1 << 40)
    monkeypatch.setattr(doctor, "MEMORY_MB", 1 << 40)
    probes = {probe.what: probe for probe in examine()}
    assert (probes["disk"].state, probes["memory"].state) == ("broken", "weak")
    assert all(bool(probe.remedy) == (probe.state != "ok") for probe in probes.values())


def test_an_engine_that_does_not_answer_is_broken(monkeypatch):
    monkeypatch.setenv("OFFSETZERO_DRIVER", "docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    probe = {probe.what: probe for probe in examine()}["Docker engine"]
    assert probe.state == "broken" and probe.remedy


def test_a_taken_port_is_named_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        probe = probe_port("127.0.0.1", port)
    assert probe.state == "broken"
    assert f"127.0.0.1:{port}" in probe.found and f"--port {port + 1}" in probe.remedy


def test_a_free_port_is_ok():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert probe_port("127.0.0.1", port).state == "ok"


def test_a_host_that_is_not_ours_is_broken():
    assert probe_port("no-such-host.invalid", 8000).state == "broken"


@pytest.mark.root
def test_a_home_that_others_cannot_enter_is_named(monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory() as closed:  # of mode 0700
        monkeypatch.setenv("OFFSETZERO_HOME", f"{closed}/home")
        probe = probe_folders()
    assert probe.state == "broken" and closed in probe.found


def test_a_home_that_cannot_be_made_is_broken(monkeypatch):
    monkeypatch.setenv("OFFSETZERO_HOME", "/proc/none/home")
    probe = probe_folders()
    assert probe.state == "broken" and "/proc/none" in probe.found


@pytest.mark.parametrize(
    ("setting", "value", "command"),
    [
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces="),
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "OFFSETZERO_BWRAP=/usr/bin/bwrap"),
        ("kernel/unprivileged_userns_clone", "1", "Docker container"),
    ],
)
def test_the_remedy_fits_what_forbids_namespaces(
    tmp_path: Path, setting: str, value: str, command: str
):
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    assert command in namespaces_remedy(tmp_path)
