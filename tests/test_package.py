"""The package as a whole: what importing costs, what it promises in its docstrings, what its wheel holds."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import shutil
import sys
import zipfile
from pathlib import Path

import processes
import pytest

import npvae

ROOT = Path(npvae.__file__).parent.parent


def modules_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = processes.run([sys.executable, "-c", program], check=True)
    return set(done.stdout.split())


def test_import_brings_nothing_heavier_than_numpy():
    heavy = {"numba", "cupy", "matplotlib", "tqdm", "scipy", "sklearn", "pandas", "torch", "urllib.request"}
    assert not heavy & modules_after("import npvae")
    assert not heavy & modules_after("import npvae; npvae.VAE, npvae.load_dataset('digits'), npvae.check_gradient")


def test_import_loads_no_part_of_npvae_before_it_is_used():
    loaded = {name for name in modules_after("import npvae") if name.startswith("npvae")}
    assert loaded == {"npvae", "npvae._version"}


def test_the_gradient_checker_needs_nothing_of_npvae_but_its_errors():
    loaded = {name for name in modules_after("import npvae.gradcheck.checker") if name.startswith("npvae")}
    names = {
        "errors",
        "gradcheck",
        "gradcheck.checker",
        "gradcheck.finite_differences",
        "gradcheck.problem",
        "_version",
    }
    assert loaded == {"npvae", *(f"npvae.{name}" for name in names)}


def test_every_public_name_is_there_and_an_unknown_one_is_not():
    for name in npvae.__all__:
        assert getattr(npvae, name) is not None
    assert set(npvae.__all__) <= set(dir(npvae))
    with pytest.raises(AttributeError, match="no_such_name"):
        npvae.no_such_name  # noqa: B018


USE_OF_A_SOURCE_TREE = """
import sys

class OfAnotherTree:
    def find_spec(name, path=None, target=None):
        assert name != "npvae.kernels", "asked before the source tree's own"

sys.meta_path.insert(0, OfAnotherTree)
import npvae, npvae.kernels.cpu.plan
from npvae import VAE, backend
import numpy as np
assert "kernels" not in sys.modules and not any("editable" in name for name in sys.modules)
print(npvae.__file__, npvae.kernels.cpu.plan.__file__, sep="\\n")
x = np.random.default_rng(0).random((20, 3))
print(np.isfinite(VAE(1, (2,), epochs=1, backend="numpy", random_state=0).fit(x).transform(x)).all())
if backend.reason_against("numba") is None:
    backend.get("numba")
"""


@pytest.mark.parametrize("where", ["folder", "path"])
def test_a_source_tree_works_without_an_install(tmp_path, where):
    """Folders copied to a machine, with no .pth file that would find an editable install: run inside, and from
    elsewhere.
    """
    tree = tmp_path / "tree"
    for folder in ("npvae", "kernels"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "kernels"))
    packages = [folder for folder in sys.path if folder and folder not in (str(ROOT), str(ROOT / "tests"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree)] * (where == "path") + packages)}
    cwd = tree if where == "folder" else tmp_path
    commands = [(["-c", USE_OF_A_SOURCE_TREE], 3), (["-m", "npvae", "--version"], 1)]
    for path in (tree / "npvae", tree / "npvae" / "__main__.py"):  # where random.py and io.py are not Python's
        commands.append(([os.path.relpath(path, cwd), "info"], None))
    for command, lines in commands:
        done = processes.run([sys.executable, "-S", *command], cwd=cwd, env=environment)
        assert done.returncode == 0 and lines in (None, len(done.stdout.splitlines())), done.stdout + done.stderr
        if lines == 3:
            *files, finite = done.stdout.splitlines()
            assert [Path(file) for file in files] == [
                tree / "npvae" / "__init__.py",
                tree / "kernels" / "cpu" / "plan.py",
            ]
            assert finite == "True"


def test_no_other_folder_of_a_source_tree_becomes_part_of_the_package():
    for name in ("tests", "benchmarks", "npvae", "kernel"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"npvae.{name}")


def test_the_kernels_of_a_source_tree_are_found_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(npvae, "_FOLDER", str(tmp_path / "npvae"))
    find = npvae._SourceTree.find_spec
    assert find("npvae.kernels") is None  # no such folder
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    assert find("npvae.kernels") is None  # another one of that name
    (folder / "cpu").mkdir()
    (folder / "cpu" / "library.py").write_text("")
    spec = find("npvae.kernels")
    assert (spec.name, spec.origin, spec.submodule_search_locations) == (
        "npvae.kernels",
        str(folder / "__init__.py"),
        [str(folder)],
    )
    assert find("npvae.other") is None and find("kernels") is None


def all_modules():
    names = [m.name for m in pkgutil.walk_packages(npvae.__path__, "npvae.") if not m.name.endswith("__main__")]
    return [importlib.import_module(name) for name in names]


def test_every_module_says_what_it_is():
    assert len(all_modules()) > 40
    assert [module.__name__ for module in all_modules() if not (module.__doc__ or "").strip()] == []


def test_every_public_function_and_class_says_what_it_does():
    silent = []
    for module in all_modules():
        if module.__name__.startswith("npvae.cli"):
            continue  # add_parser and run_command are what the package's docstring says they are
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(thing) or inspect.isfunction(thing):
                reference = module.__name__.startswith(("npvae.mathematics.layers", "npvae.mathematics.likelihoods"))
                if not thing.__doc__ and not (reference and inspect.isfunction(thing)):
                    silent.append(f"{module.__name__}.{name}")
    # The reference functions of a layer are the equations of their file's docstring, line for line.
    assert silent == []


def test_every_package_is_installed():
    """The list in setup.cfg is written by hand: a folder that is not in it is missing from the wheel alone."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "npvae").rglob("__init__.py")
    }
    assert set(config["options"]["packages"].split()) == {
        *folders,
        "npvae.kernels",
        "npvae.kernels.cpu",
        "npvae.kernels.gpu",
    }


def test_no_pickle_anywhere():
    for path in [*(ROOT / "npvae").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text and "allow_pickle=True" not in text, path


@pytest.mark.slow
def test_the_least_setuptools_is_said_and_it_installs_offline_without_wheel(tmp_path):
    """As README's offline line has it: no index, no build environment, and no package wheel."""
    required = re.search(
        r'requires = \["setuptools>=([\d.]+)"\]', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )[1]
    assert f"`setuptools` {required} or\nlater" in (ROOT / "README.md").read_text(encoding="utf-8")
    pytest.importorskip("setuptools", minversion=required)
    python = new_environment(tmp_path / "venv")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command):
        return processes.run(command, check=True, cwd=tmp_path, env=alone).stdout

    run(python, "-m", "pip", "uninstall", "-q", "-y", "setuptools", "wheel")
    found = importlib.metadata.distribution("setuptools")
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for folder in {path.parts[0] for path in found.files if len(path.parts) > 1} - {".."}:
        shutil.copytree(found.locate_file(folder), packages / folder)
    assert "wheel" not in run(python, "-m", "pip", "list")
    run("git", "clone", "-q", ROOT, tmp_path / "source")
    for option in ([], ["-e"]):
        run(
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            *option,
            tmp_path / "source",
        )
        run(python, "-c", "import npvae.kernels")


def new_environment(folder: Path) -> Path:
    """The Python of a new virtual environment."""
    processes.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


@pytest.mark.slow
def test_a_wheel_with_numpy_alone_trains_the_main_job(tmp_path):
    """Built from the tree as it is, installed into an empty environment, run outside of the tree."""
    pytest.importorskip("build")

    def run(*command, **options):
        done = processes.run(command, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    source = tmp_path / "source"
    run("git", "clone", "-q", ROOT, source)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"npvae"}
    assert {"npvae/kernels/__init__.py", "npvae/py.typed", "npvae/data/digits.npz"} <= set(names)
    python = new_environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", wheel)
    assert "matplotlib" not in run(python, "-m", "pip", "list")
    out = run(python, "-m", "npvae", "train", "--epochs", "2", cwd=tmp_path)
    assert "no pictures" in out and (tmp_path / "npvae-run" / "model.npz").exists()
