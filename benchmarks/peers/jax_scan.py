"""JAX: a whole epoch in one compiled scan."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from peers import jax_step
from peers.jax_step import version  # noqa: F401


class Runner(jax_step.Runner):
    """A call an epoch."""

    def compile(self) -> None:
        step = partial(jax_step.update, **self.constants())

        @partial(jax.jit, donate_argnums=0)
        def compiled(state, x, order, keys):
            def body(state, item):
                indices, key = item
                return step(state, x[indices], key)

            state, losses = jax.lax.scan(body, state, (order, keys))
            return state, jnp.mean(losses)

        self.scan = compiled

    def epoch(self) -> float:
        self.key, shuffle, noise = jax.random.split(self.key, 3)
        order = jax.random.permutation(shuffle, self.x.shape[0]).reshape(self.spec.steps, self.spec.batch)
        self.state, loss = self.scan(self.state, self.x, order, jax.random.split(noise, self.spec.steps))
        return float(loss)
