"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from npvae.cli import build_parser
from npvae.errors import GradientCheckError

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.S)


def test_the_first_block_trains_a_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0].replace("epochs=50", "epochs=1"), {})
    assert re.fullmatch(r"-\d+ nats\n", capsys.readouterr().out) and (tmp_path / "digits.npz").exists()


def test_the_second_block_catches_the_wrong_gradient_it_shows():
    code = blocks("python")[1]
    with pytest.raises(GradientCheckError) as error:
        exec(code, {})
    (shown,) = re.findall(r"# GradientCheckError: wrong gradient \.\.\.  (.*?)  FAIL", code)
    for part in shown.split("  "):
        assert part in str(error.value)


def test_links_lead_somewhere():
    for page in [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "examples" / "README.md",
        ROOT / "benchmarks" / "RESULTS.md",
    ]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_commands_shown_exist():
    commands = build_parser()._subparsers._group_actions[0].choices
    shown = set(re.findall(r"`npvae (\w+)", TEXT)) | {"encode", "reconstruct"}
    assert shown == set(commands)
