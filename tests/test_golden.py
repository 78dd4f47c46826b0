"""Files of format versions that npvae reads, written when each was new: read and used as ever."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import sealed

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer
from npvae.cli import main
from npvae.errors import ModelFileError

GOLDEN = Path(__file__).parent / "golden"
sys.path[:0] = [str(GOLDEN), str(GOLDEN.parent / "tools")]

import make  # noqa: E402
from fuzzing import honest  # noqa: E402


@pytest.mark.parametrize("version", [2])
@pytest.mark.parametrize("name", make.OWN)
@pytest.mark.filterwarnings("ignore")  # that a run goes on elsewhere, and that X is said to be whole numbers
def test_a_file_of_that_version_is_read_and_gives_the_numbers_it_gave(tmp_path, version, name):
    """Other processors round products in another order: a few units in the last places of a float32, after a few
    steps at most.
    """
    folder = tmp_path / "files"
    shutil.copytree(GOLDEN / f"version-{version}", folder)
    header, arrays = sealed.read(folder / name)
    assert header["format_version"] == version and header["arrays"] == sealed.stated(arrays)
    with np.load(GOLDEN / f"version-{version}" / "expected.npz") as file:
        expected = [file[key] for key in file.files if key.rpartition(":")[0] == name]
    kind = honest.kinds("numpy")[name]
    found = kind.use(kind.load(folder / name))
    assert len(found) == len(expected) > 0
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, its, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", make.OWN)
def test_info_describes_every_kind_and_says_that_it_was_verified(name, capsys):
    path = GOLDEN / "version-2" / name
    assert main(["info", str(path)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    count = len(sealed.read(path)[1])
    assert last.startswith(
        f"verified    format version 2, {path.stat().st_size:,} bytes; the header's fields, {count} array"
    )
    assert last.endswith("SHA-256")


@pytest.mark.parametrize("name", make.OWN)
def test_info_refuses_what_is_damaged(tmp_path, name, capsys):
    """One number changed, the zip's own checksum right."""
    path = tmp_path / name
    header, arrays = sealed.read(GOLDEN / "version-2" / name)
    key = sorted(arrays)[-1]
    arrays[key] = arrays[key] + np.ones(1, arrays[key].dtype)
    sealed.write(path, header, arrays, digests=False)
    assert main(["info", str(path)]) == 2
    assert f"its array '{key}' is damaged: it has not the SHA-256 that the header states" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("vae.npz", VAE.load),
        ("m2.npz", SemiSupervisedVAE.load),
        ("m1.npz", LatentClassifier.load),
        ("imputer.npz", TableImputer.load),
        ("checkpoint.npz", honest.resume_vae),
    ],
)
def test_version_1_is_refused_by_its_number_and_what_to_do(tmp_path, name, read):
    path = tmp_path / name
    header, arrays = sealed.read(GOLDEN / "version-2" / name)
    del header["arrays"]  # as version 1 was
    sealed.write(path, {**header, "format_version": 1}, arrays, digests=False)
    with pytest.raises(ModelFileError, match="format version 1, .*reads version 2: train again with this version"):
        read(path)
