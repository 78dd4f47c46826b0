"""kill -9 at random moments of every command that trains, resumed: the same bits, and no file left over
(tests/tools/kills.py).

Started by hand, ``pytest -m campaign tests/test_campaign_kills.py`` kills 200 times: see benchmarks/RESULTS.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "tools"))
import kills
import pytest

from npvae import backend


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and pipes of POSIX")
def test_what_is_killed_and_resumed_ends_with_the_same_bits(campaign_seconds, tmp_path):
    if backend.reason_against("numba") is not None:
        pytest.skip("no numba here")
    seed = int(os.environ.get("NPVAE_CAMPAIGN_SEED", "0"))
    results = kills.campaign(tmp_path, seed, kills=200, seconds=campaign_seconds)
    assert not [result["wrong"] for result in results if result["wrong"]], kills.report(results)
    assert any(result["phases"] for result in results)


def test_a_run_that_goes_on_elsewhere_than_it_was_killed_is_noticed(tmp_path):
    """Of a run's files: other bits, a missing file and one too many; half an output after a kill."""
    whole = kills.Whole.__new__(kills.Whole)
    whole.files, whole.steps, whole.before, whole.after = {"model.npz": b"whole", "lost": b""}, 2, 0.0, 0.0
    program = "import sys; open('model.npz.txt', 'w').write('x')"

    class Run:
        steps, ended = [], True

        def __init__(self, words, folder):
            (folder / ".model.npz.0a0a0a0a.part").write_text("half")

        def listen(self, until, seconds=0.0):
            return False

        def end(self, kill):
            return (-9 if kill else 0), program

    original, kills.Run = kills.Run, Run
    try:
        result = kills.trial("made up", whole, (["begin"], ["resume"]), kills.random.Random(0), tmp_path / "t", 1)
    finally:
        kills.Run = original
    assert result["left"] == 1 and sorted(result["wrong"]) == [
        "left behind: .model.npz.0a0a0a0a.part",
        "lost differs",
        "model.npz differs",
    ]
    assert "3 things wrong" in kills.report([result])
