// All steps of a call in one launch: blocks that stay, and meet between phases. The launch must be cooperative, which
// promises that all its blocks are on the device together.

#include "step.cu"

// Wait until every block has come here as often as this one; writes before are seen by reads after.
// arrived: how many arrivals there were, of all blocks; turn: how often this one has come, this time included.
__device__ inline void meet(Index* arrived, Index turn) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd((Word*)arrived, Word(1));
        while (atomicAdd((Word*)arrived, Word(0)) < Word(turn) * gridDim.x) __nanosleep(32);
        __threadfence();
    }
    __syncthreads();
}

// A phase's record from memory into the block's own.
__device__ inline void bring(Phase& here, const Index* from) {
    Index* const to = reinterpret_cast<Index*>(&here);
    for (int i = threadIdx.x; i < (int)(sizeof(Phase) / sizeof(Index)); i += THREADS) to[i] = from[i];
}

// Phase 0 once, which brings the first batch, then all others step by step. phases: ``count`` records.
template <typename T>
__global__ void __launch_bounds__(THREADS) run_steps(const Index* phases, Index count) {
    Phase& phase = *reinterpret_cast<Phase*>(shared_memory<char>() + TILE_BYTES);  // behind the largest tile
    bring(phase, phases);
    __syncthreads();
    Index* const call = at<Index>(phase.plan, plan::CALL);
    const Index steps = call[call::STEPS], size = sizeof(Phase) / sizeof(Index);
    Index turn = 0;
    for (Index number = 0; number < steps; number++) {
        const Step step(phase.plan, number);  // every phase has the same plan
        if (!step.is_due()) return;  // every block sees the same
        for (Index i = number ? 1 : 0; i < count; i++) {
            run_phase_of<T>(step, phase);
            __syncthreads();
            bring(phase, phases + (i + 1 < count ? i + 1 : 1) * size);
            meet(&call[call::ARRIVED], ++turn);
        }
    }
}
