"""The bundle's sources and the templates keep the promises of the Content-Security-Policy."""

import json
import re
import shutil
from pathlib import Path

import pytest

from webapp import frontend_build

TEMPLATES = sorted((Path(frontend_build.ROOT) / "templates").rglob("*.html"))
# An inline script other than data, an inline style, or an inline handler.
FORBIDDEN = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son\w+=|javascript:", re.I
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_script_or_style(template):
    found = FORBIDDEN.search(template.read_text())
    assert found is None, f"{template}: {found.group()!r} would be blocked in the browser"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_never_switch_escaping_off(template):
    assert not re.search(r"\|\s*safe\b|autoescape\s+false", template.read_text())


def test_every_browser_package_is_locked_by_its_hash_and_by_no_address():
    packages = json.loads((frontend_build.FRONTEND / "package-lock.json").read_text())["packages"]
    installed = [package for path, package in packages.items() if path]
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed)
    assert not any("resolved" in package for package in installed)


def test_an_up_to_date_bundle_is_left_alone():
    frontend_build.build(print)
    stamp = (frontend_build.DIST / frontend_build.VERSION_FILE).stat().st_mtime_ns
    said: list[str] = []
    frontend_build.build(said.append)
    assert said == []
    assert (frontend_build.DIST / frontend_build.VERSION_FILE).stat().st_mtime_ns == stamp


@pytest.fixture
def copied(monkeypatch, tmp_path) -> Path:
    """A copy of the frontend to change at will, with the packages that are installed."""
    frontend_build.build(print)
    folder = tmp_path / "webapp" / "frontend"
    shutil.copytree(
        frontend_build.FRONTEND,
        folder,
        ignore=shutil.ignore_patterns("node_modules"),
        symlinks=True,
    )
    (folder / "node_modules").symlink_to(frontend_build.FRONTEND / "node_modules")
    shared = tmp_path / "graders" / "report"
    shutil.copytree(frontend_build.SHARED_STYLES, shared)
    monkeypatch.setattr(frontend_build, "ROOT", tmp_path / "webapp")
    monkeypatch.setattr(frontend_build, "FRONTEND", folder)
    monkeypatch.setattr(frontend_build, "DIST", tmp_path / "webapp" / "static" / "dist")
    monkeypatch.setattr(frontend_build, "SHARED_STYLES", shared)
    return folder


def test_a_changed_source_is_bundled_again(copied):
    frontend_build.build(print)
    first = frontend_build.built_hash()
    (copied / "styles" / "base.css").write_text("body { color: rebeccapurple }")
    said: list[str] = []
    frontend_build.build(said.append)
    assert said and frontend_build.built_hash() != first
    assert "#639" in (frontend_build.DIST / "app.css").read_text()


def test_a_broken_source_says_where_and_leaves_the_old_bundle(copied):
    frontend_build.build(print)
    first = frontend_build.built_hash()
    (copied / "src" / "site.js").write_text("const = ;")
    with pytest.raises(frontend_build.BuildError, match=r"src/site\.js:1"):
        frontend_build.build(print)
    assert frontend_build.built_hash() == first
    assert (frontend_build.DIST / "site.js").exists()
