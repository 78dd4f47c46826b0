// What every kernel stands on: where a thread is, memory that a block shares, and sums over a block.
//
// Sizes and indices have 64 bits. A block has THREADS threads in a row, or fewer where that is said;
// numbers and names that Python shares are in records.py.

typedef long long Index;

__device__ inline Index first_index() { return (Index)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline Index all_threads() { return (Index)gridDim.x * blockDim.x; }
__device__ inline Index smaller(Index a, Index b) { return a < b ? a : b; }

// NaN, for what is asked for by a code that is not known: nothing can be raised here.
template <typename T>
__device__ inline T not_a_number() { return T(nan("")); }

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

// The sums of every thread's values, for all of them; always in the same order. Sums of every WARP-th value first, so that
// the threads meet three times and not once for every halving. room: COUNT * THREADS numbers of shared memory, which may
// be used again as soon as this returns.
#define WARP 32
template <typename T, int COUNT>
__device__ inline void block_sums(T (&values)[COUNT], T* room) {
    for (int which = 0; which < COUNT; which++) room[which * THREADS + threadIdx.x] = values[which];
    __syncthreads();
    if (threadIdx.x < COUNT * WARP) {
        T* const of_one = room + threadIdx.x / WARP * THREADS;
        T sum = T(0);
        for (int i = threadIdx.x % WARP; i < THREADS; i += WARP) sum += of_one[i];
        of_one[threadIdx.x % WARP] = sum;
    }
    __syncthreads();
    for (int which = 0; which < COUNT; which++) {
        values[which] = T(0);
        for (int i = 0; i < WARP; i++) values[which] += room[which * THREADS + i];
    }
    __syncthreads();
}

template <typename T>
__device__ inline T block_sum(T value, T* room) {
    T values[1] = {value};
    block_sums(values, room);
    return values[0];
}
