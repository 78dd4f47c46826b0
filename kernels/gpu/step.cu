// A training step as phases of tasks, all on the device: npvae/mathematics/objectives/elbo.py and the optimisers, without the host.
//
//     forward    y = f(x W + b) layer by layer; both latent heads at once, with sample and KL; outputs with likelihood
//     backward   dW = x^T da, db = sum of da's rows, dx = (da W^T) f', of a layer in one phase
//     update     theta, if loss and gradient are finite; and the next batch's rows
//
// A phase is a list of tasks that need nothing from each other, and a task is a number of tiles: any block may do any
// tile. All memory is laid out beforehand and its addresses stand in records (records.py), so a phase is a launch with
// a record and a number, a step is always the same launches, and a graph of many steps can be replayed: which step it
// is follows from the call's BASE and the launch's place in the graph.
//
//
// Every sum has its fixed order, so equal runs have equal bits. Nothing is read through the read-only cache (no
// __restrict__): in steps_together.cu other blocks write these arrays while the kernel runs.

#include "step_backward.cu"
#include "step_forward.cu"
#include "step_update.cu"

// A task that is a product, by the side of its tiles.
#define OF_SIDE(name)                                                     \
    task[task::SIDE] == 64   ? name<T, 64>(step, task, tile)              \
    : task[task::SIDE] == 32 ? name<T, 32>(step, task, tile)              \
                             : name<T, 16>(step, task, tile)

template <typename T>
__device__ void run_tile(const Step& step, const Index* task, Index tile) {
    switch (task[task::KIND]) {
        case kind::GATHER: return gather<T>(step, task, tile);
        case kind::DENSE:
        case kind::OUTPUT: return OF_SIDE(forward);
        case kind::LATENT: return latent<T>(step, task, tile);
        case kind::WEIGHT_GRADIENT: return OF_SIDE(weight_gradient);
        case kind::BIAS_GRADIENT: return bias_gradient<T>(step, task, tile);
        case kind::INPUT_GRADIENT:
        case kind::LATENT_GRADIENT: return OF_SIDE(input_gradient);
        case kind::UPDATE: return update<T>(step, task, tile);
    }
}

// This block's tiles of a phase.
template <typename T>
__device__ void run_phase_of(const Step& step, const Phase& phase) {
    for (Index tile = blockIdx.x; tile < phase.tiles; tile += gridDim.x) {
        Index task = 0, place = tile;
        while (place >= phase.task[task][task::TILES]) place -= phase.task[task][task::TILES], task++;
        run_tile<T>(step, phase.task[task], place);
    }
}

// A phase of the step that is ``offset`` steps after the call's BASE.
template <typename T>
__global__ void __launch_bounds__(THREADS) run_phase(const __grid_constant__ Phase phase, Index offset) {
    const Step step(phase.plan, at<Index>(phase.plan, plan::CALL)[call::BASE] + offset);
    if (step.is_due()) run_phase_of<T>(step, phase);
}

// Between graphs: so many steps are behind. One thread.
template <typename T>
__global__ void advance(Index* call, Index steps) { call[call::BASE] += steps; }
