"""Damaged files: none ends in a traceback, a crash, NaN, other numbers, or in much more memory than the honest file takes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "tools"))

import fuzz  # noqa: E402
from fuzzing import damage, honest  # noqa: E402

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peaks of memory are read from Linux's /proc")


def assert_nothing_failed(results):
    wrong = fuzz.failures(results)
    assert not wrong, fuzz.table(results) + "\n" + "\n".join(json.dumps(result) for result in wrong[:5])


@pytest.mark.slow
def test_the_first_minute(tmp_path):
    results = fuzz.run(tmp_path, seed=1, files=100_000, seconds=60)
    assert len(results) >= 100
    assert_nothing_failed(results)
    assert any(result["outcome"].startswith("used") for result in results)


@pytest.mark.campaign
def test_a_hundred_thousand_files(tmp_path_factory):
    """Half an hour; NPVAE_CAMPAIGNS names a folder in which it goes on where it was ended."""
    state = Path(os.environ.get("NPVAE_CAMPAIGNS") or tmp_path_factory.mktemp("campaigns")) / "fuzz"
    results = fuzz.run(state, seed=1, files=100_000)
    assert len(results) == 100_000
    print(fuzz.table(results))
    assert_nothing_failed(results)


@pytest.mark.slow
def test_the_fuzzer_sees_what_it_looks_for(tmp_path):
    """Files that a reader without checks would take, by a worker whose reader was made so: every kind of failure is counted."""
    honest.write_all(tmp_path / "honest")
    worker = Worker = fuzz.Worker(tmp_path / "honest", seed=1)
    worker.ask(0)
    assert worker.answer()["outcome"].split()[0] in ("refused", "used")
    # The worker is told of the honest file, with one number changed and the digest made right, that nothing may differ.
    folder = worker.file.parent
    import sealed

    header, arrays = sealed.read(tmp_path / "honest" / "vae.npz")
    arrays["theta"] = arrays["theta"] + np.float32(0.25)
    for changed, may_differ, expected in ((0.0, "False", "silent loss"), (0.0, "True", "used, other numbers"), (3e38, "True", "refused at use")):
        sealed.write(folder / "vae.npz", header, {**arrays, "theta": arrays["theta"] + np.float32(changed)})
        worker._process.stdin.write(f"vae.npz {may_differ}\n".encode())
        worker._process.stdin.flush()
        assert worker.answer()["outcome"] == expected
    worker._process.kill()
    worker._process.wait()
    assert worker.answer()["outcome"] == "crash"
    worker.ask(15)
    assert worker.answer()["kind"] == "vae.npz"
    Worker.end()
    assert not list((tmp_path / "honest").glob("trial-*"))


def test_damage_is_a_function_of_the_seed_and_changes_the_file():
    data = b"a,b\n1,2\n3,4\n" * 5
    for kind in ("csv", "idx", "npy"):
        made = [damage.damaged(np.random.default_rng([1, i]), kind, data)[0] for i in range(50) if kind != "npy" or i % 2]
        again = [damage.damaged(np.random.default_rng([1, i]), kind, data)[0] for i in range(50) if kind != "npy" or i % 2]
        assert made == again and len(set(made)) > 10
