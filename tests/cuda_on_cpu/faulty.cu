// Kernels with the faults that the checks of kernels must find, each beside what would be right.

#include "device.cu"

// Reads a neighbour's number before it is known to be there: the barrier is missing.
template <typename T>
__global__ void race_in_a_block(T* x) {
    T* const room = shared_memory<T>();
    room[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = room[(threadIdx.x + 1) % THREADS];
}

// The same with the barrier.
template <typename T>
__global__ void no_race(T* x) {
    T* const room = shared_memory<T>();
    room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = room[(threadIdx.x + 1) % THREADS];
}

// Every block adds to the same number.
template <typename T>
__global__ void race_of_blocks(T* x) {
    if (threadIdx.x == 0) x[0] += T(1);
    shared_memory<T>()[threadIdx.x] = T(0);
}

// One past the end of what the block shares.
template <typename T>
__global__ void beyond_shared(T* x) {
    shared_memory<T>()[threadIdx.x + 1] = x[0];
}

// One past the end of an array.
template <typename T>
__global__ void beyond_array(T* x) {
    x[threadIdx.x + 1] = T(0);
}

// Only half the threads come to the barrier.
template <typename T>
__global__ void half_a_barrier(T* x) {
    shared_memory<T>()[threadIdx.x] = x[0];
    if (threadIdx.x < THREADS / 2) __syncthreads();
}

// All come to a barrier, but not to the same.
template <typename T>
__global__ void two_barriers(T* x) {
    shared_memory<T>()[threadIdx.x] = x[0];
    if (threadIdx.x < THREADS / 2)
        __syncthreads();
    else
        __syncthreads();
}

// Reads what nobody wrote.
template <typename T>
__global__ void nobody_wrote(T* x) {
    x[threadIdx.x] = shared_memory<T>()[threadIdx.x];
}
