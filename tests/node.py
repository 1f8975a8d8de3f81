"""A page's script, run by Node: for tests."""

import json
import shutil
import subprocess

import pytest


def run(code, given):
    """What code, a function's body, returns of what is given, its `given`; both are JSON."""
    if not (program := shutil.which("node")):
        pytest.skip("no Node is installed: the page's script is not run.")
    whole = (
        "const given = JSON.parse(require('fs').readFileSync(0));"
        f"console.log(JSON.stringify((() => {{{code}}})()))"
    )
    asked = json.dumps(given)
    done = subprocess.run([program, "-e", whole], input=asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
