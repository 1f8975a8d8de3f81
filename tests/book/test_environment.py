"""The lock, pyproject.toml and environment.yml say the same."""

import re
import tomllib

import yaml
from chapters import ROOT
from packaging.markers import Marker
from packaging.requirements import Requirement


def locked():
    """{name: version} of the lock for Python 3.11 on Linux, the environment of environment.yml."""
    found = {}
    for name, version, marker in re.findall(
        r"^([\w.-]+)==([^ ;\n]+)(?: ; (.+?))? \\$", (ROOT / "requirements.lock").read_text(), re.M
    ):
        if not marker or Marker(marker).evaluate(
            {"python_full_version": "3.11.7", "sys_platform": "linux"}
        ):
            found[name] = version
    return found


def asked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [
        Requirement(r) for r in [*project["dependencies"], *(r for extra in extras for r in extra)]
    ]


def test_lock_satisfies_pyproject():
    versions = locked()
    for requirement in asked():
        assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_environment_has_the_versions_of_the_lock():
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    pins = {
        Requirement(line).name: str(Requirement(line).specifier)
        for line in pip
        if not line.startswith("-e")
    }
    assert pins == {r.name: f"=={locked()[r.name]}" for r in asked()}


def test_lock_has_hashes_and_no_registry_address():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)
    for block in re.split(r"\n(?=\S)", text):
        if re.match(r"[\w.-]+==", block):
            assert "--hash=sha256:" in block, block
