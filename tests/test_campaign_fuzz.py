"""Damaged files: none ends in a traceback, a crash, NaN, other numbers, or in much more memory than the honest file
takes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import sealed

sys.path.insert(0, str(Path(__file__).parent / "tools"))

import fuzz  # noqa: E402
from fuzzing import damage, honest  # noqa: E402

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="peaks of memory are read from Linux's /proc"
)


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
    """Files that look honest with other numbers, of which the worker is told that they may differ or not; a worker
    that dies.
    """
    honest.write_all(tmp_path / "honest")
    worker = fuzz.Worker(tmp_path / "honest", seed=1)
    try:
        worker.ask(0)
        assert worker.answer()["outcome"].split()[0] in ("refused", "used")
        header, arrays = sealed.read(tmp_path / "honest" / "vae.npz")
        far = np.where(np.arange(len(arrays["theta"])) % 2, -3e38, 3e38).astype("f4")
        for theta, may_differ, expected in [
            (arrays["theta"], False, "used, same numbers"),
            (arrays["theta"] + np.float32(0.25), False, "silent loss"),
            (arrays["theta"] + np.float32(0.25), True, "used, other numbers"),
            (far, True, "refused at use"),
        ]:
            sealed.write(worker.file.parent / "vae.npz", header, {"theta": theta})
            worker.tell("vae.npz", may_differ)
            assert worker.answer()["outcome"] == expected
        worker.kill()
        assert worker.answer()["outcome"] == "crash"
        worker.ask(len(honest.KINDS))
        assert worker.answer()["kind"] == "vae.npz"
    finally:
        worker.end()
    assert not list((tmp_path / "honest").glob("trial-*"))


def test_damage_is_a_function_of_the_seed_and_changes_the_file():
    data = b"a,b\n1,2\n3,4\n" * 5
    for kind in ("csv", "idx"):
        made, again = ([damage.damaged(np.random.default_rng([1, i]), kind, data) for i in range(50)] for _ in range(2))
        assert (
            made == again
            and len({changed for changed, _ in made}) > 20
            and {mended for _, mended in made} == {True, False}
        )
