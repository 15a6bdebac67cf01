"""The package as people get it: versions, contents of the wheel, requirements, documents."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import finefill
from finefill.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITH_PAGES = ("*", "docs/**/*", "benchmarks/**/*", "findings/*", "src/**/*", "weights/*")
PAGES = [page for folder in WITH_PAGES for page in sorted(ROOT.glob(f"{folder}.md"))]
SECTIONS = [page for page in PAGES if page.with_suffix(".json").exists() or page.stem == "intro"]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("weights/*.md")])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_changelog_matches_version(metadata: Message) -> None:
    headings = re.findall(
        r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[0] == metadata["Version"] == finefill.__version__
    assert [Version(h) for h in headings] == sorted(map(Version, headings), reverse=True)


def test_wheel_holds_the_whole_package(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "finefill"
    wanted = {
        file.relative_to(package.parent).as_posix()
        for pattern in ("**/*.py", "py.typed", "**/*.onnx", "**/*.json", "assets/*")
        for file in package.glob(pattern)
        if file.is_file()
    }
    assert {"finefill/cli/use.py", "finefill/assets/demo.jpg"} <= wanted
    assert wanted <= set(wheel.namelist())


def test_wheel_holds_no_training_weights(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"finefill", f"finefill-{finefill.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".safetensors", ".pth"))]


def test_wheel_holds_the_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    licences = {name.rpartition("/")[2] for name in wheel.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_light_half_needs_four_packages(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    light = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert light == {"click", "numpy", "onnxruntime", "pillow"}


def test_every_requirement_is_pinned_within_its_range() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[canonicalize_name(name)] = Version(version)
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    assert len(wanted) > 10
    for requirement in map(Requirement, wanted):
        if requirement.name == PROJECT["name"]:  # an extra that takes in others
            assert requirement.extras <= PROJECT["optional-dependencies"].keys()
            continue
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement
        assert not any(s.operator in {"==", "<", "<=", "~="} for s in requirement.specifier)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", text):
        path, _, heading = link.partition("#")
        # A section of a page that is put together from several links to that page's headings.
        target = page.parent / (path or ("README.md" if page in SECTIONS else page.name))
        if "://" in link:
            continue
        if not target.exists() or (heading and heading not in headings(target)):
            missing.append(link)
    assert not missing, f"{page.name} links to what is not there: {missing}"


def headings(page: Path) -> set[str]:
    """What links to a document's headings have after the #."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_names_exist(page: Path) -> None:
    """``finefill.completion.plan.plan`` in a document, or what an example imports."""
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`(finefill(?:\.\w+)+)[`(]", text))
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("finefill"):
                names |= {f"{node.module}.{one.name}" for one in node.names}
    for name in names:
        assert pkgutil.resolve_name(name) is not None


def test_names_in_docstrings_exist() -> None:
    """What ``:func:`finefill.completion.load` `` and its like name."""
    for path in sorted(ROOT.glob("src/**/*.py")):
        for name in re.findall(r":\w+:`(finefill(?:\.\w+)+)`", path.read_text(encoding="utf-8")):
            assert pkgutil.resolve_name(name) is not None, path


def test_architecture_names_every_module() -> None:
    """Its table of modules has all modules of every folder, and no others."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named: dict[str, set[str]] = {}
    folder = ""
    for row in text.partition("## The modules")[2].partition("\n\n`tests/`")[0].splitlines():
        cells = row.strip("|").split("|")
        if len(cells) != 3 or cells[0].startswith("-") or "module" in cells[2]:
            continue
        folder = cells[0].strip(" `/") or folder
        names = re.findall(r"`([\w/]+)`", cells[2])
        named.setdefault(folder, set()).update(name.partition("/")[0] for name in names)
    assert {"files", "masks", "completion", "web"} <= named.keys()
    for folder, names in named.items():
        package = ROOT / "src" / "finefill" / folder
        there = {one.name.removesuffix(".py") for one in package.iterdir()}
        there = {one for one in there if re.fullmatch(r"[a-z]\w*", one)}
        assert names == there - {"extras"}, folder


def test_documented_commands_and_options_exist() -> None:
    seen = set()
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for name, rest in re.findall(r"^finefill (\w+)([^#\n]*)", block, re.MULTILINE):
                command = cli.get_command(click.Context(cli), name)
                assert command is not None, f"{document.name}: finefill {name}"
                known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
                used = set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest))
                assert used <= known, f"{document.name}: finefill {name} has no {used - known}"
                seen.add(name)
    assert {"complete", "models", "train", "export"} <= seen


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_scripts_call_what_they_import(folder: str) -> None:
    """No test runs them: what they import of finefill is there, and what they call is no module.

    A module and what it is named after are easily mixed up: ``plan`` of ``finefill.completion``.
    """
    for path in sorted((ROOT / folder).glob("*.py")):
        tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [node.func for node in tree if isinstance(node, ast.Call)]
        called = {name.id for name in calls if isinstance(name, ast.Name)}
        for node in tree:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("finefill"):
                for name in node.names:
                    there: dict[str, object] = {}
                    exec(f"from {node.module} import {name.name} as found", there)
                    if (name.asname or name.name) in called:
                        assert callable(there["found"]), f"{path.name} calls {name.name}"
