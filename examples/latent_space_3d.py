"""A model with three latent dimensions: which are used, and how the digits lie in space."""

import argparse

from npvae import VAE, load_dataset

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=50)
epochs = parser.parse_args().epochs

digits = load_dataset("digits")
vae = VAE(latent_dim=3, divide_by=255, epochs=epochs, optimizer="adam", random_state=0, verbose=True)
vae.fit(digits.x_train, X_valid=digits.x_test)

last = vae.history_.row(-1)
print("KL of each dimension, nats:", [round(kl, 2) for kl in last["val_kl_per_dimension"]])
print(f"{last['val_active_units']} of 3 dimensions are active; test ELBO {last['val_elbo']:.2f} nats")

try:
    from npvae import plots

    plots.save(plots.plot_latent(vae.transform(digits.x_test), digits.y_test), "latent-3d.png")
    print("wrote latent-3d.png")
except ImportError as error:
    print(error)
