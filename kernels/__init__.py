"""Compiled kernels, installed as ``npvae.kernels``; they import nothing from the rest of npvae.

On the CPU (cpu/), one program for each dtype, compiled by Numba and kept as machine code:

    vector       expressions on vectors become machine instructions
    elementary   exp, log, tanh, ... on vectors
    bodies       the arithmetic of every operation: the equations of layers, likelihoods and optimisers
    loops        bodies over arrays
    gemm         matrix products, dense and sparse: blocks; their tiles and packing
    philox       random numbers by counter   threads    who does which share, and when
    training     whole training steps, with importance_weighted where the bound is of K samples
    arithmetic, program    which code means which operation
    plan, sizes, target    what Python and compiled code must agree on
    library      compile, keep, load

On a GPU (gpu/), CUDA sources, compiled by CuPy on first use:

    device.cu            where a thread is; sums over a block
    activations.cu  latent.cu  likelihoods.cu  optimizers.cu  rows.cu    the operations, one kernel each
    philox.cu            random numbers by counter
    product.cu           matrix products by tiles
    step.cu              a training step as phases of tasks, which are in
                         step_forward.cu, step_backward.cu, step_update.cu, on step_records.cu
    steps_together.cu    many steps in one cooperative launch
    records              the records that Python and the sources share
    sources              the sources as text, and the table of their kernels
    launch               compile, check, launch
"""
