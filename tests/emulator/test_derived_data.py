"""The facts under tests/data are current, and hold no sentence of the source."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
SHARED = ROOT / ".." / "shared"


def test_the_derived_data_is_current():
    if not (SHARED / "contract").is_dir():
        assert os.environ.get("CI") != "true", "in CI the shared contract must lie beside the repository"
        pytest.skip("no ../shared here: the derived data cannot be compared with its source")
    run = subprocess.run([sys.executable, DATA / "derive.py", "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_without_the_shared_folder_the_script_says_so(tmp_path):
    command = [sys.executable, DATA / "derive.py", "--shared", tmp_path]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "nothing to derive from" in run.stderr


def test_there_are_as_many_facts_as_the_contract_has():
    operations = json.loads((DATA / "operations.json").read_text())["operations"]
    errors = json.loads((DATA / "known_errors.json").read_text())["errors"]
    recorded = [json.loads(path.read_text())["exchanges"] for path in (DATA / "exchanges").glob("*.json")]
    assert (len(operations), len(errors), sum(map(len, recorded))) == (114, 144, 1514)


def test_no_error_keeps_its_message():
    for path in (DATA / "exchanges").glob("*.json"):
        for exchange in json.loads(path.read_text())["exchanges"]:
            body = exchange["response"]["body"]
            if isinstance(body, dict) and "code" in body:
                assert body.get("error", "<text>") == "<text>", exchange["name"]
            assert not isinstance(body, str) or body in ("", "<text>"), exchange["name"]


def test_every_stand_in_for_a_token_has_its_token():
    for path in (DATA / "exchanges").glob("*.json"):
        text = path.read_text()
        used = {int(number) for number in re.findall(r"<jwt:(\d+)>", text)}
        assert used == set(range(len(json.loads(text)["tokens"]))), path.name
