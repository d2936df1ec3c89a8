"""The word check finds what it is for, and its exceptions are all in use."""

import subprocess
import sys
from pathlib import Path

from tests.words import ALLOWED, ROOT, check_names, check_prose, find_sentences


def test_phrases_are_found_in_prose_and_not_in_code():
    """Docstrings, comments, messages and pages count; identifiers, inline code and code blocks do not."""
    module = 'def answer():\n    """Nobody is told."""\n    return "e-mail it"  # where it is none\n\nguest = 1\n'
    assert {finding.text for finding in check_prose("a.py", module)} == {
        "Nobody", "is told", "e-mail", "where it is",
    }  # fmt: skip
    page = "The `guest` mails.\n```python\nguest = nobody\n```\n"
    assert [(finding.line, finding.text) for finding in check_prose("a.md", page)] == [(1, "mails")]
    assert [finding.text for finding in check_prose("a.html", '<a class="mail">People</a>')] == ["People"]


def test_names_must_be_verbs():
    """A participle alone and `x_of` are found, in tests as well."""
    source = "def told(): ...\nasync def _kept(): ...\ndef name_of(): ...\ndef is_kept(): ...\ndef fetch(): ...\n"
    assert [finding.text for finding in check_names("tests/a.py", source)] == ["told", "_kept", "name_of"]


def test_each_exception_has_a_reason_and_is_in_use():
    """An exception for a text that is gone must go as well."""
    for path, text, reason in ALLOWED:
        assert len(reason) > 10, path
        lines = [line for _, line in find_sentences(path, Path(ROOT, path).read_text("utf-8"))]
        assert any(text in line for line in lines), (path, text)


def test_the_check_of_this_tree_is_silent_and_succeeds():
    """It runs as `make check` runs it: without findings it once printed an empty line and failed."""
    run = subprocess.run([sys.executable, "-m", "tests.words"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
