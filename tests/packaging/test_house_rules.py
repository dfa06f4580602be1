"""The house rules that no linter knows: rooms on the import contracts, pinned actions, one source for commands."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
NOT_CONCERNS = {"_composition", "_core", "integrations", "testing"}
CONCERNS = {
    f"asgi_middleware.{path.parent.name}"
    for path in (ROOT / "asgi_middleware").glob("*/__init__.py")
    if path.parent.name not in NOT_CONCERNS
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))


@pytest.mark.parametrize(
    ("contract", "key"),
    [
        ("independence", "modules"),
        ("ground-floor", "forbidden_modules"),
        ("concerns-look-down", "source_modules"),
        ("test-tools", "forbidden_modules"),
    ],
)
def test_every_concern_is_under_the_import_contracts(contract: str, key: str) -> None:
    """A new room cannot be forgotten on a contract's list."""
    assert set(CONTRACTS[contract][key]) >= CONCERNS


def test_every_room_without_a_framework_is_on_the_framework_contract() -> None:
    """The contract against frameworks holds for the whole package, with the integrations as its only exception."""
    assert CONTRACTS["no-frameworks"]["source_modules"] == ["asgi_middleware"]
    assert CONTRACTS["no-frameworks"]["ignore_imports"] == ["asgi_middleware.integrations.** -> **"]


def test_the_oldest_environment_has_the_lowest_versions() -> None:
    """Every floor of a dependency is a version that ``tox run -e oldest`` really runs."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = [Requirement(text) for text in (*PYPROJECT["project"]["dependencies"], *extras["zstd"], *extras["speed"])]
    floors = {canonicalize_name(each.name): Version(str(each.specifier).removeprefix(">=")) for each in wanted}
    groups = PYPROJECT["dependency-groups"]["oldest"]
    pinned = [Requirement(text) for text in groups if isinstance(text, str)]
    pins = {canonicalize_name(each.name): Version(str(each.specifier).removeprefix("==")) for each in pinned}
    assert pins == floors


def test_the_version_is_written_once() -> None:
    """The version stands in ``_version.py`` alone; the build reads it there."""
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "asgi_middleware/_version.py"


def test_every_test_says_what_it_shows() -> None:
    """A test's docstring is the behaviour in one sentence; a test without one is named here."""
    silent = [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_start_empty(workflow: Path) -> None:
    """Every action is pinned by a full commit id with its version beside it; permissions are granted per job."""
    text = workflow.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.+)", text)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)


@pytest.mark.parametrize("version", PYTHONS)
def test_every_claimed_python_has_a_test_environment(version: str) -> None:
    """A Python version in the classifiers has its tox environment."""
    tox_ini = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert re.search(rf"^\[testenv:\{{.*\bpy{version.replace('.', '')}\b.*\}}\]", tox_ini, re.MULTILINE)


@pytest.mark.parametrize(("name", "ending"), [("showcase", "-m examples.showcase"), ("tests", "-m tox run -e tests")])
def test_the_readmes_commands_are_one_line_each(name: str, ending: str) -> None:
    """The README's two commands can be read by a program, which is how CI runs the very line that a reader copies."""
    result = subprocess.run(
        ["bash", str(ROOT / ".ci" / "readme-command"), name],  # noqa: S607 - bash from the path, as CI does
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("python3 -m venv .venv && .venv/bin/python -m pip install ")
    assert result.stdout.endswith(f"{ending}\n")
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize("kind", ["requirements.txt", "requirements-test.txt"])
def test_the_examples_environment_has_what_the_examples_require(kind: str) -> None:
    """``tox run -e examples`` installs what an example's requirements name, and this package with the same extras."""
    groups = PYPROJECT["dependency-groups"]
    listed = [each for group in ("examples", "harness") for each in groups[group] if isinstance(each, str)]
    installed = {canonicalize_name(Requirement(text).name): Requirement(text) for text in listed}
    files = sorted(ROOT.glob(f"examples/*/{kind}"))
    assert len(files) >= 3
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("-r "):
                assert (file.parent / line.removeprefix("-r ")).is_file()
                continue
            wanted = Requirement(line)
            if wanted.name == "asgi-middleware":
                tox_ini = (ROOT / "tox.ini").read_text(encoding="utf-8")
                section = tox_ini.partition("[testenv:examples]")[2].partition("[testenv:")[0]
                assert wanted.extras == set(re.findall(r"^extras = (.+)$", section, re.MULTILINE)[0].split(", "))
                continue
            ours = installed[canonicalize_name(wanted.name)]
            assert (ours.specifier, wanted.extras <= ours.extras) == (wanted.specifier, True), f"{line} in {file}"


def test_every_setting_of_an_example_has_a_value_to_try_it_with() -> None:
    """What an example's settings cannot do without stands in its ``development.env``, which its README uses."""
    files = sorted(ROOT.glob("examples/*/*/settings.py"))
    assert len(files) >= 3
    for file in files:
        needed = set(re.findall(r'os\.environ\["(\w+)"\]', file.read_text(encoding="utf-8")))
        given = re.findall(r'^(\w+)="', (file.parents[1] / "development.env").read_text(encoding="utf-8"), re.MULTILINE)
        assert needed <= set(given), file
        assert "development.env" in (file.parents[1] / "README.md").read_text(encoding="utf-8")
