// What every kernel stands on: where a thread is, memory that a block shares, and sums over a block.
//
// Sizes and indices have 64 bits. A block has THREADS threads in a row, or fewer where that is said;
// numbers and names that Python shares are in cuda_plan.py.

typedef long long Index;

__device__ inline Index first_index() { return (Index)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline Index all_threads() { return (Index)gridDim.x * blockDim.x; }
__device__ inline Index smaller(Index a, Index b) { return a < b ? a : b; }

// A number that other blocks may change meanwhile: read past the block's own cache.
__device__ inline Index current(const Index* p) { return __ldcg(p); }

// The memory that the threads of a block share: as many bytes as the launch asked for. The macro is the one place where
// a check of these sources without a GPU puts in something else.
#ifndef SHARED_MEMORY
#define SHARED_MEMORY(name) extern __shared__ double name[]
#endif
template <typename T>
__device__ inline T* shared_memory() {
    SHARED_MEMORY(npvae_shared);
    return reinterpret_cast<T*>(npvae_shared);
}

// The sum of every thread's value, for all of them; always in the same order. Sums of every WARP-th value first, so that
// the threads meet three times and not once for every halving. room: THREADS numbers of shared memory, which may be used
// again as soon as this returns.
#define WARP 32
template <typename T>
__device__ inline T block_sum(T value, T* room) {
    room[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < WARP) {
        T sum = T(0);
        for (int i = threadIdx.x; i < THREADS; i += WARP) sum += room[i];
        room[threadIdx.x] = sum;
    }
    __syncthreads();
    T sum = T(0);
    for (int i = 0; i < WARP; i++) sum += room[i];
    __syncthreads();
    return sum;
}
