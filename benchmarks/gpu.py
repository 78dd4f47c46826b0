"""npvae beside the frameworks on a GPU: time of a training step and of an epoch of MNIST.

    NPVAE_DATA=... python benchmarks/gpu.py [--rounds 9] [--only 784-256-2] [--peers ...]

Needs a GPU and cupy; the frameworks that are installed take part. Each runs in a process of its own, and they take
turns of a second on the same GPU; all train the same model from the same weights, with the same batch size and update,
and their losses are compared. "By events" is the time between two events on the device around a turn, where a framework
has them. The limits below each table are what the step cannot be faster than: launches at the measured cost of one in a
graph, multiply-adds at the rate of a large cuBLAS product, bytes of parameters at the rate of a large copy.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers.competitor import TURN, take_turns  # noqa: E402
from peers.products import operations  # noqa: E402
from peers.spec import SPECS, shapes  # noqa: E402

#: Module in peers/, what must be installed, name in the table.
PEERS = {
    "npvae_cupy": ("cupy", "npvae, graphs"),
    "npvae_cupy_cooperative": ("cupy", "npvae, cooperative"),
    "npvae_cupy_single": ("cupy", "npvae, launch by launch"),
    "gpu_torch_eager": ("torch", "PyTorch, eager"),
    "gpu_torch_graph": ("torch", "PyTorch, CUDA graph of a step"),
    "gpu_torch_compiled": ("torch", "PyTorch, reduce-overhead"),
    "gpu_jax_scan": ("jax", "JAX, scan over the epoch"),
    "gpu_jax_step": ("jax", "JAX, step by step"),
}
OURS = "npvae_cupy"
MNIST_ROWS = 60_000


def microseconds_of(run, repeat: int = 20) -> float:
    """The median time of ``run()`` on the device."""
    import cupy

    times = []
    for _ in range(repeat):
        first, last = cupy.cuda.Event(), cupy.cuda.Event()
        first.record()
        run()
        last.record()
        last.synchronize()
        times.append(1e3 * cupy.cuda.get_elapsed_time(first, last))
    return statistics.median(times)


def rates() -> dict[str, float]:
    """What this GPU can: microseconds of a launch in a graph, multiplications and additions and bytes a microsecond."""
    import cupy

    from npvae.kernels.gpu.launch import Kernels

    empty, call = Kernels(cupy).function("advance", "float32"), cupy.zeros(64, cupy.int64)
    empty((1,), (1,), (call, np.int64(0)))
    stream, launches = cupy.cuda.Stream(non_blocking=True), 1000
    with stream:
        stream.begin_capture()
        for _ in range(launches):
            empty((1,), (1,), (call, np.int64(0)))
        graph = stream.end_capture()
    a, b = (cupy.ones((4096, 4096), cupy.float32) for _ in range(2))
    source, target = (cupy.ones(2**27, cupy.float32) for _ in range(2))
    for run in (graph.launch, lambda: a @ b):
        run()
    return {
        "launch": microseconds_of(lambda: graph.launch(cupy.cuda.get_current_stream())) / launches,
        "operations": 2.0 * 4096**3 / microseconds_of(lambda: cupy.matmul(a, b)),
        "bytes": 2.0 * source.nbytes / microseconds_of(lambda: cupy.copyto(target, source)),
    }


def limits(spec, measured: dict[str, float]) -> dict[str, float]:
    """Milliseconds below which no step of this model can be, each for its own reason."""
    import cupy

    from npvae import Architecture
    from npvae.fused.cupy_phases import Phases

    architecture = Architecture(spec.inputs, spec.latent, spec.hidden, activation=spec.activation)
    phases = Phases(architecture, spec.batch, cupy.cuda.Device().attributes["MultiProcessorCount"])
    names = {name: 0 for layer in architecture.dense_layers() for name in layer.shapes()}
    phases.build(dict.fromkeys(phases.arrays(), 0), names, names, 1)
    launches = len(phases.records) - 1
    parameters = sum((inputs + 1) * outputs for inputs, outputs in shapes(spec))
    # Weights are read forward and backward; the gradient is written and read; theta and the state read and written.
    return {
        f"{launches} launches": launches * measured["launch"] / 1e3,
        "operations": operations(spec) / measured["operations"] / 1e3,
        "bytes of parameters": 4.0 * parameters * 8 / measured["bytes"] / 1e3,
    }


def table(name: str, peers, rounds: int, measured: dict[str, float]) -> None:
    """Time a step of every competitor, in turns."""
    spec, workers = SPECS[name], take_turns(peers, name, rounds, pause=0.1, together=True)
    theirs = [w for peer, w in workers.items() if not peer.startswith("npvae")]
    fastest = min(theirs, key=lambda w: statistics.median(w.times), default=None)
    ours = workers.get(OURS)
    print(f"\n{name}, batch {spec.batch}, {spec.activation}, float32; {rounds} rounds of {TURN:g} s")
    print(
        f"{'':<32} {'version':<14} {'ms a step':>9} {'fastest':>8} {'slowest':>8} {'by events':>9} {'s an epoch':>10} "
        f"{'loss':>8} {'npvae is':>9}"
    )
    for peer, worker in workers.items():
        step = statistics.median(worker.times)
        ratio = ""
        if ours is not None and worker is not ours:
            ratio = f"{statistics.median(b / a for a, b in zip(ours.times, worker.times, strict=True)):8.2f}x"
        print(
            f"{PEERS[peer][1]:<32} {worker.version:<14} {step:9.4f} {min(worker.times):8.4f} {max(worker.times):8.4f} "
            f"{statistics.median(worker.device_times):9.4f} {step * MNIST_ROWS / spec.batch / 1e3:10.3f} "
            f"{worker.loss:8.2f} {ratio:>9}{' *' if worker is fastest else ''}"
        )
    for reason, milliseconds in limits(spec, measured).items():
        print(f"{'limit: ' + reason:<47} {milliseconds:9.4f}")
    losses = [worker.loss for worker in workers.values()]
    if losses and max(losses) > 1.03 * min(losses):
        print(f"THE LOSSES DIFFER by more than 3 %: {min(losses):.2f} to {max(losses):.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=SPECS, nargs="*", default=list(SPECS))
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=list(PEERS))
    options = parser.parse_args()
    from npvae import backend

    reason = backend.reason_against("cupy")
    if reason is not None:
        print(f"nothing was measured: {reason}", file=sys.stderr)
        return 1
    print(backend.get("cupy").description())
    measured = rates()
    print(
        f"a launch in a graph {measured['launch']:.2f} us, a large product {measured['operations'] / 1e6:.1f} TFLOP/s, "
        f"a large copy {measured['bytes'] / 1e3:.0f} GB/s"
    )
    peers = [name for name in options.peers if importlib.util.find_spec(PEERS[name][0]) is not None]
    for name in options.only:
        table(name, peers, options.rounds, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
