"""Train a VAE on the embedded digits; map, rebuild and invent digits; save the model and load it."""

import argparse

from npvae import VAE, load_dataset

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=50)
epochs = parser.parse_args().epochs

digits = load_dataset("digits")
vae = VAE(latent_dim=2, hidden=(256,), divide_by=255, epochs=epochs, random_state=0, verbose=True)
vae.fit(digits.x_train.reshape(-1, 28, 28), X_valid=digits.x_test.reshape(-1, 28, 28))

last = vae.history_.row(-1)
print(f"test ELBO {last['val_elbo']:.2f} nats: cross-entropy {last['val_reconstruction']:.2f}, KL {last['val_kl']:.2f}")

z = vae.transform(digits.x_test)  # posterior means, (1000, 2)
print("the first test digit lies at", z[0].round(2), "and is labelled", digits.y_test[0])
new = vae.sample(20)  # (20, 28, 28), in grey values from 0 to 255

vae.save("digits-vae.npz")
assert (VAE.load("digits-vae.npz").transform(digits.x_test) == z).all()

try:
    from npvae import plots

    plots.save(plots.plot_latent(z, digits.y_test), "digits-latent.png")
    plots.save(plots.plot_manifold(vae), "digits-manifold.png")
    plots.save(plots.plot_samples(new), "digits-samples.png")
    print("wrote digits-latent.png, digits-manifold.png, digits-samples.png")
except ImportError as error:
    print(error)
