"""Workflows and issue forms, which only the code host runs, agree with the project; `make lint` checks their syntax."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
_NAMED = [pytest.param(path, id=path.name) for path in WORKFLOWS]


def workflow(path: Path) -> dict[str, Any]:
    """A workflow as its host reads it: `on` is a word there, and a boolean in YAML 1.1."""
    read = dict(yaml.safe_load(path.read_text("utf-8")))
    return {("on" if key is True else key): value for key, value in read.items()}


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """Every step of every job."""
    for job in workflow(path)["jobs"].values():
        yield from job.get("steps", ())


def versions() -> list[str]:
    """The versions of Python that the package says it supports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [text for line in project["classifiers"] for text in re.findall(r"^Programming .* (3\.\d+)$", line)]


def test_every_supported_python_is_tested_and_no_other() -> None:
    """The matrix is the classifiers, and begins with the oldest that can install the package."""
    jobs = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"].values()
    matrices = [job["strategy"]["matrix"] for job in jobs if "strategy" in job]
    assert matrices == [{"python": versions()}]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={versions()[0]}"


@pytest.mark.parametrize("path", _NAMED)
def test_other_jobs_run_on_a_supported_python(path: Path) -> None:
    """A version outside of a matrix is one of it."""
    asked = [step["with"]["python-version"] for step in steps(path) if "setup-python" in step.get("uses", "")]
    assert {one for one in asked if not one.startswith("${{")} <= set(versions())


@pytest.mark.parametrize("path", _NAMED)
def test_what_a_workflow_makes_is_a_target(path: Path) -> None:
    """Words after `make` are targets or settings of the Makefile, and paths in settings exist."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for step in steps(path):
        for line in step.get("run", "").splitlines():
            words = shlex.split(line)
            if words[:1] != ["make"]:
                continue
            for word in words[1:]:
                name, is_setting, value = word.partition("=")
                if is_setting:
                    assert f"$({name})" in makefile, line
                    assert all((ROOT / part).exists() for part in value.split() if not part.startswith("-")), line
                else:
                    assert name in targets, line


def test_every_check_of_the_makefile_is_in_a_workflow() -> None:
    """Lint, tests, archives, pages and peers."""
    made = {word for path in WORKFLOWS for step in steps(path) for word in step.get("run", "").split()[1:2]}
    assert {"lint", "test", "dist-check", "docs", "peers"} <= made


@pytest.mark.parametrize("path", _NAMED)
def test_a_workflow_may_do_what_it_needs_and_no_more(path: Path) -> None:
    """It reads; what writes says so for its job, and only a release gets a token, for the registry."""
    read = workflow(path)
    assert read["permissions"] == {"contents": "read"} and read["concurrency"]["group"]
    more = {name: job["permissions"] for name, job in read["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"id-token": "write"}} if path.name == "release.yml" else {})
    assert "secrets." not in path.read_text("utf-8") and "pull_request_target" not in read["on"]
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", _NAMED)
def test_actions_of_others_are_pinned(path: Path) -> None:
    """By a major version at least."""
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@(v\d+(\.\d+)*|release/v\d+|[0-9a-f]{40})", step["uses"])
    assert all("timeout-minutes" in job or "uses" in job for job in workflow(path)["jobs"].values())


def test_a_tag_is_published_after_all_checks() -> None:
    """The job that publishes waits for those of a change, on the archives that they tried."""
    release = workflow(ROOT / ".github/workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert jobs["checks"]["uses"] == "./.github/workflows/ci.yml" and jobs["publish"]["needs"] == "checks"
    assert "workflow_call" in workflow(ROOT / ".github/workflows/ci.yml")["on"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FORMS])
def test_an_issue_form_has_what_its_host_wants(path: Path) -> None:
    """Name, description, and fields with a label and an identifier that occurs once."""
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z_-]+", name) for name in names)
