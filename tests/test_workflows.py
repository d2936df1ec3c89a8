"""The public workflows call make targets alone, so that each job can be repeated on any machine."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
NEEDED = {
    "check", "test", "test-lowest", "test-newest", "coverage", "dist-check", "interop", "docs", "audit",
    "release-check",
    "sbom", "mcp-mix",
}  # fmt: skip
VERSIONED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})")


def steps() -> list[dict[str, Any]]:
    """Every step of every job."""
    workflows = [yaml.safe_load(path.read_text("utf-8")) for path in WORKFLOWS]
    return [step for workflow in workflows for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_command_is_a_make_target_that_exists():
    """And the targets that a change must pass are all among them."""
    commands = [step["run"] for step in steps() if "run" in step]
    called = {match[1] for command in commands if (match := re.fullmatch(r"make ([a-z-]+) PYTHON=python", command))}
    assert len(commands) >= len(called) >= len(NEEDED)
    assert called == NEEDED
    assert called <= TARGETS
    assert all(command.startswith("make ") for command in commands)


def test_every_action_is_pinned():
    """By a tag or a digest, never by a branch."""
    actions = [step["uses"] for step in steps() if "uses" in step]
    assert [action for action in actions if not VERSIONED.fullmatch(action)] == []


def test_jobs_have_few_rights_and_a_time_limit():
    """A job that hangs ends, and one that is taken over cannot write; publishing needs an identity, and no token."""
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path
        for name, job in workflow["jobs"].items():
            rights = {name for name, right in job.get("permissions", {}).items() if right == "write"}
            assert rights == ({"id-token", "attestations"} if name == "publish" else set()), (path, name)
            assert job["timeout-minutes"] <= 40, (path, name)


def test_every_supported_python_is_tested():
    """The classifiers name the versions that were tried here; the next one may fail."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    classified = re.findall(
        r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert set(classified) <= set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"])
