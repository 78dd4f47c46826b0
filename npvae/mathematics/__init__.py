"""What is derived on paper, each equation beside the line that computes it. In the order of reading:

layers/activations, layers/dense, layers/network    y = f(x W + b), hidden layers and heads
layers/sampling, layers/kl                          z = mu + exp(logvar/2) eps; KL(q(z|x) || p(z))
likelihoods/                                        -log p(x|z): bernoulli, gaussian_fixed, and the others
model                                               theta, one flat vector with named views; encoder and decoder
objectives/                                         elbo, importance_weighted, semi_supervised: loss and gradient
optimizers, schedules, kl_warmup                    the update, and how its factors change over a run
semi_supervised                                     the model M2
encoder_view, missing                               what the encoder sees of counts, tables and missing cells
special, random                                     log Gamma; random numbers by (seed, purpose, step)
"""
