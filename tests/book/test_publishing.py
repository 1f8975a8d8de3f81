"""What is published beside the book: citation, licences, changelog, workflows, the environment,
notebooks' form."""

import re
import subprocess
import sys
import tomllib

import nbformat
import pytest
import strip
import yaml
from chapters import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
JOBS = {
    (name, job): content
    for name, flow in WORKFLOWS.items()
    for job, content in flow["jobs"].items()
}
STEPS = [(name, step) for (name, _), job in JOBS.items() for step in job.get("steps", [])]


def text(name):
    return (ROOT / name).read_text()


def test_the_citation_has_what_its_format_asks_for():
    """https://citation-file-format.github.io/1.2.0/schema"""
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    book = yaml.safe_load(text("book/_config.yml"))
    assert citation["title"] == book["title"] and citation["message"]
    assert citation["repository-code"] == book["repository"]["url"]
    assert citation["authors"] == [{"name": "the ssf authors"}]
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    if "date-released" in citation:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(citation["date-released"]))
    for reference in citation["references"]:
        assert reference["type"] == "conference-paper" and reference["conference"]["name"]
        for author in reference["authors"]:
            assert author.keys() == {"family-names", "given-names"}


def test_the_cited_papers_are_those_of_the_books_references():
    """Titles, years, authors in order, and a DOI where there is one."""
    entries = {}
    for entry in text("book/references.bib").split("\n@"):
        fields = dict(re.findall(r"^ *(\w+) = \{(.*)\},?$", entry, re.M))
        entries[fields["title"].replace("{", "").replace("}", "")] = fields
    references = yaml.safe_load(text("CITATION.cff"))["references"]
    assert [r["title"].partition(":")[0] for r in references] == ["SparseSpikformer", "Spikformer"]
    for reference in references:
        fields = entries[reference["title"]]
        names = " and ".join(
            f"{a['family-names']}, {a['given-names']}" for a in reference["authors"]
        )
        assert (names, str(reference["year"])) == (fields["author"], fields["year"])
        assert (
            reference.get("doi") == fields.get("doi")
            and reference["conference"]["name"] == fields["booktitle"]
        )


def test_the_changelog_has_this_version_on_top():
    version, date = re.search(r"^## \[(.+)\] - (.+)$", text("CHANGELOG.md"), re.M).groups()
    assert version == PROJECT["version"]
    released = yaml.safe_load(text("CITATION.cff")).get("date-released", "unreleased")
    assert date == str(released)


def test_each_licence_says_which_it_is():
    assert text("LICENSE").startswith("MIT License") and PROJECT["license"] == "MIT"
    words = text("LICENSE-text.md")
    assert "SPDX-License-Identifier: CC-BY-4.0" in words and "SPDX: MIT" in words
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in words
    for named in re.findall(r"`([\w./*-]+)`", words):
        assert list(ROOT.glob(named)), named


def test_workflows_run_only_make_and_targets_that_exist():
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.M))
    asked = {
        (name, t) for name, step in STEPS for t in re.findall(r"\bmake +(\S+)", step.get("run", ""))
    }
    assert asked == {("test", "test"), ("book", "book")}
    assert {target for _, target in asked} <= targets


def test_workflows_use_actions_of_github_alone_with_a_version():
    for _, step in STEPS:
        assert (
            re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) if "uses" in step else step["run"]
        ), step


def test_workflows_run_the_python_that_the_lock_is_made_for():
    locked = re.search(r"--python-version (\S+)", text("Makefile"))[1]
    versions = [
        step["with"]["python-version"]
        for _, step in STEPS
        if "setup-python" in step.get("uses", "")
    ]
    assert versions == [locked] * 2


def test_caches_are_keyed_by_the_lock_and_networks_by_the_code_too():
    """A network that other code has trained must not stand in for this code's: no key that is only
    nearly right."""
    caches = [
        (name, step["with"]) for name, step in STEPS if "actions/cache" in step.get("uses", "")
    ]
    assert sorted((name, cache["path"].split()[0]) for name, cache in caches) == [
        ("book", "runs"), ("book", "~/.cache/uv"), ("test", "~/.cache/uv"),
    ]  # fmt: skip
    for _, cache in caches:
        hashed = re.findall(r"'([^']+)'", re.search(r"hashFiles\((.*)\)", cache["key"])[1])
        assert hashed[0] == "requirements.lock" and all(
            list(ROOT.glob(pattern)) for pattern in hashed
        )
        if cache["path"] == "runs":
            assert hashed[1:] == ["ssf/**", "notebooks/**"] and "restore-keys" not in cache


def test_only_the_deployment_may_write_and_only_from_main():
    for flow in WORKFLOWS.values():
        assert flow["permissions"] == {"contents": "read"} and flow["concurrency"]["group"]
        assert "pull_request_target" not in flow[True]  # YAML 1.1 takes the key `on` for true
    writing = {where: job["permissions"] for where, job in JOBS.items() if "permissions" in job}
    assert writing == {("book", "deploy"): {"pages": "write", "id-token": "write"}}
    deploy = JOBS["book", "deploy"]
    assert deploy["if"] == "github.ref == 'refs/heads/main'" and deploy["needs"] == [
        "test",
        "build",
    ]
    upload = next(step for _, step in STEPS if "upload-pages-artifact" in step.get("uses", ""))
    assert upload["with"]["path"] == "book/_build/html"


def test_the_tests_workflow_brings_a_browser():
    browser = next(
        step["run"] for name, step in STEPS if name == "test" and "chromium" in step.get("run", "")
    )
    assert "apt-get install" in browser


def test_the_environment_is_one_that_repo2docker_builds():
    """It takes environment.yml in the root, if nothing goes before it, and a base image by
    python=X.Y."""
    environment = yaml.safe_load(text("environment.yml"))
    assert set(environment) == {
        "name",
        "channels",
        "dependencies",
    }  # no prefix of somebody's machine
    assert environment["name"] == PROJECT["name"] and environment["channels"] == ["conda-forge"]
    python = [
        d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python")
    ]
    assert len(python) == 1 and re.fullmatch(r"python=3\.\d+", python[0])
    *_, pip, packages = environment["dependencies"]
    assert (
        pip == "pip" and packages["pip"][-1] == "-e ."
    )  # the library: pyproject.toml alone is not looked at
    before = "binder .binder Dockerfile Project.toml JuliaProject.toml REQUIRE default.nix "
    before += "DESCRIPTION install.R"
    for name in [*before.split(), "runtime.txt", "environment.yaml"]:
        assert not (ROOT / name).exists(), (
            f"{name} would go before environment.yml, or stop the build"
        )
    for name in ("requirements.txt", "Pipfile", "setup.py"):
        assert not (ROOT / name).exists(), f"{name} would be ignored"


# the committed form of notebooks


def test_the_chapters_are_in_their_form():
    done = subprocess.run(
        [sys.executable, ROOT / "book" / "strip.py", "--verify"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def form():
    """A chapter's text in the committed form."""
    return strip.stripped(next((ROOT / "notebooks").glob("02_*.ipynb")).read_text())


def worked_on(text):
    """The text of a chapter after somebody ran it in Jupyter, and by papermill."""
    notebook = nbformat.reads(text, 4)
    notebook.metadata.kernelspec.display_name = "ssf"
    notebook.metadata |= {"papermill": {"duration": 3}, "widgets": {}}
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 7):
        cell.execution_count = count
        cell.metadata |= {"execution": {"iopub.status.busy": "now"}, "collapsed": True}
        if not cell.outputs:
            cell.outputs = [
                nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=count)
            ]
    injected = nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(2, injected)
    return nbformat.writes(notebook)


def test_the_form_keeps_checked_outputs_and_nothing_else_of_a_run(form):
    """With a count, without which nbval refuses them."""
    for cell in (cell for cell in nbformat.reads(form, 4).cells if cell.cell_type == "code"):
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        assert (bool(cell.outputs), cell.execution_count) == (checked, 1 if checked else None)
        assert cell.metadata.keys() <= {"tags", "mystnb", "jupyter"}  # the last hides a judge


def test_a_working_notebook_is_brought_to_the_form(form, tmp_path, capsys):
    """Byte by byte; looking changes nothing."""
    work = tmp_path / "work.ipynb"
    work.write_text(before := worked_on(form))
    assert (
        strip.main(["--verify", str(work)]) == 1
        and "work.ipynb is not in the form" in capsys.readouterr().err
    )
    assert work.read_text() == before
    assert strip.main([str(work)]) == 0 and work.read_text() == form
    assert strip.main(["--verify", str(work)]) == 0


def test_git_filters_by_the_same(form):
    """In a clone that is set up as CONTRIBUTING.md says."""
    command = re.search(
        r"git config filter.chapter.clean \"\.venv/bin/python (.+)\"", text("CONTRIBUTING.md")
    )[1].split()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        input=worked_on(form),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == form
    assert "notebooks/*.ipynb text eol=lf filter=chapter" in text(".gitattributes")
