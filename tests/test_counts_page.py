"""The code that docs/counts.md shows runs, and what the page says of VAE is so."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parent.parent / "docs" / "counts.md"


def test_the_code_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    names: dict = {}
    exec(block, names)
    vae, x, z = names["vae"], names["x"].astype(float), names["z"]
    assert z.shape == (300, 10) and names["loadings"].shape == (10, 40) and (tmp_path / "counts.npz").exists()
    drawn = vae.sample(5, mean=False)
    assert (drawn >= 0).all() and (drawn == np.trunc(drawn)).all()
    # One step along a latent dimension multiplies what is expected by exp(W).
    step = vae.inverse_transform(np.eye(10)[3:4]) / vae.inverse_transform(np.zeros((1, 10)))
    np.testing.assert_allclose(np.log(step[0]), names["loadings"][3], rtol=1e-4, atol=1e-5)
    # Rows of one kind are near each other.
    distance = ((z[:, None] - z[None]) ** 2).sum(axis=2) + 1e9 * np.eye(len(z))
    assert (names["topic"][distance.argmin(axis=1)] == names["topic"]).mean() > 0.95
    assert vae.score(x) > -200.0
    for said, default in (("latent_dim=10", vae.latent_dim_ == 10), ("1,200 steps", len(vae.history_["epoch"]) == 400)):
        assert said in text and default
