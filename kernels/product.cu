// Matrix products of our own: a CUDA graph cannot hold cuBLAS's, and what follows a product (bias, activation,
// likelihood) is applied to its numbers before they leave the block.
//
// A block makes a tile of SIDE x SIDE outputs. Its threads form SLICES groups; group s adds up the terms s, s + SLICES,
// ... of every output, 4 x 4 outputs a thread, and the groups' sums are added at the end, in order. So a small tile has
// as many threads as a large one, and a thin product keeps the device as busy:
//
//     SIDE    SLICES    DEPTH (terms in shared memory at a time)
//     32      4         64
//     64      1         32
//
// The next terms are fetched from memory while those in shared memory are multiplied. The outputs end in shared memory,
// row by row, from where neighbouring threads take neighbours.

#include "device.cu"

template <int SIDE>
struct Tile {
    static const int SLICES = 4096 / (SIDE * SIDE);
    static const int DEPTH = 2048 / SIDE;
    static const int ELEMENTS = SIDE * SIDE;
    static const int FETCHED = SIDE * DEPTH / THREADS;  // numbers of A, and of B, that a thread brings
    static const int PITCH = SIDE + 4;  // of a row in shared memory: no conflicts of banks, and aligned
    static const int NUMBERS = 2 * DEPTH * PITCH;  // of shared memory; the groups' sums need no more
};

// Where a matrix is, and which of its two dimensions is the one that is summed over.
//     BY_ROWS      element (i, k) of the operand is at p[i pitch + k]
//     BY_COLUMNS   element (i, k) is at p[k pitch + i]
enum Order { BY_ROWS, BY_COLUMNS };

// How the threads share a SIDE x DEPTH piece of an operand: neighbours take neighbours in memory. Number j of thread t
// is ``inner()`` along memory's rows and ``outer(j)`` across them.
template <int SIDE, Order ORDER>
struct Share {
    static const int LENGTH = ORDER == BY_ROWS ? Tile<SIDE>::DEPTH : SIDE, STRIDE = THREADS / LENGTH;

    static __device__ inline int inner() { return threadIdx.x % LENGTH; }
    static __device__ inline int outer(int j) { return threadIdx.x / LENGTH + j * STRIDE; }
};

// A thread's share of the piece whose first element is at p, of which ``rows`` rows and ``terms`` terms exist; 0
// outside.
template <typename T, int SIDE, Order ORDER>
__device__ inline void fetch(T (&numbers)[Tile<SIDE>::FETCHED], const T* p, Index pitch, Index rows, Index terms) {
    typedef Share<SIDE, ORDER> S;
    const Index length = ORDER == BY_ROWS ? terms : rows;
    const int lines = (int)smaller(ORDER == BY_ROWS ? rows : terms, SIDE > Tile<SIDE>::DEPTH ? SIDE : Tile<SIDE>::DEPTH);
    p += S::outer(0) * pitch + S::inner();
    const bool inside = S::inner() < length;
#pragma unroll
    for (int j = 0; j < Tile<SIDE>::FETCHED; j++) {
        numbers[j] = inside && S::outer(j) < lines ? *p : T(0);
        p += S::STRIDE * pitch;
    }
}

// Put it into shared memory, term by term.
template <typename T, int SIDE, Order ORDER>
__device__ inline void put(const T (&numbers)[Tile<SIDE>::FETCHED], T* shared) {
    typedef Share<SIDE, ORDER> S;
#pragma unroll
    for (int j = 0; j < Tile<SIDE>::FETCHED; j++) {
        const int k = ORDER == BY_ROWS ? S::inner() : S::outer(j), i = ORDER == BY_ROWS ? S::outer(j) : S::inner();
        shared[k * Tile<SIDE>::PITCH + i] = numbers[j];
    }
}

// A thread's 4 x 4 outputs: which group it is in, and where its outputs begin in the tile.
template <int SIDE>
struct Place {
    static const int GROUP = THREADS / Tile<SIDE>::SLICES, ACROSS = SIDE / 4;

    static __device__ inline int slice() { return threadIdx.x / GROUP; }
    static __device__ inline int row() { return threadIdx.x % GROUP / ACROSS * 4; }
    static __device__ inline int column() { return threadIdx.x % GROUP % ACROSS * 4; }
};

// sum += a thread's terms of the tile at (row, column) of C = A B, (m, n), of k terms each. shared: Tile::NUMBERS
// numbers, which may be used again as soon as this returns.
template <typename T, int SIDE, Order A_ORDER, Order B_ORDER>
__device__ inline void add_products(
    T (&sum)[4][4], const T* a, Index a_pitch, const T* b, Index b_pitch, Index m, Index n, Index k, Index row,
    Index column, T* shared
) {
    typedef Tile<SIDE> S;
    T* const shared_a = shared;
    T* const shared_b = shared + S::DEPTH * S::PITCH;
    T next_a[S::FETCHED], next_b[S::FETCHED];
    // From here on a and b are where the next piece begins.
    a += A_ORDER == BY_ROWS ? row * a_pitch : row;
    b += B_ORDER == BY_ROWS ? column * b_pitch : column;
    fetch<T, SIDE, A_ORDER>(next_a, a, a_pitch, m - row, k);
    fetch<T, SIDE, B_ORDER>(next_b, b, b_pitch, n - column, k);
    for (Index left_over = k; left_over > 0; left_over -= S::DEPTH) {
        put<T, SIDE, A_ORDER>(next_a, shared_a);
        put<T, SIDE, B_ORDER>(next_b, shared_b);
        __syncthreads();
        if (left_over > S::DEPTH) {
            a += A_ORDER == BY_ROWS ? S::DEPTH : S::DEPTH * a_pitch;
            b += B_ORDER == BY_ROWS ? S::DEPTH : S::DEPTH * b_pitch;
            fetch<T, SIDE, A_ORDER>(next_a, a, a_pitch, m - row, left_over - S::DEPTH);
            fetch<T, SIDE, B_ORDER>(next_b, b, b_pitch, n - column, left_over - S::DEPTH);
        }
#pragma unroll 4
        for (int t = Place<SIDE>::slice(); t < S::DEPTH; t += S::SLICES) {
            T left[4], right[4];
#pragma unroll
            for (int i = 0; i < 4; i++) left[i] = shared_a[t * S::PITCH + Place<SIDE>::row() + i];
#pragma unroll
            for (int j = 0; j < 4; j++) right[j] = shared_b[t * S::PITCH + Place<SIDE>::column() + j];
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
}

// The three products of a layer, by the order of their operands:
//     x W      A = x (rows, in) by rows           B = W (in, out) by columns
//     da W^T   A = da (rows, out) by rows         B = W (in, out) by rows
//     x^T da   A = x (rows, in) by columns        B = da (rows, out) by columns
template <typename T, int SIDE>
__device__ inline void add_products_of(
    Index form, T (&sum)[4][4], const T* a, const T* b, Index m, Index n, Index k, Index row, Index column, T* shared
) {
    if (form == product::X_W)
        add_products<T, SIDE, BY_ROWS, BY_COLUMNS>(sum, a, k, b, n, m, n, k, row, column, shared);
    else if (form == product::DA_WT)
        add_products<T, SIDE, BY_ROWS, BY_ROWS>(sum, a, k, b, k, m, n, k, row, column, shared);
    else
        add_products<T, SIDE, BY_COLUMNS, BY_COLUMNS>(sum, a, m, b, n, m, n, k, row, column, shared);
}

// Put the threads' sums into shared memory, where ``finished`` finds the outputs.
template <typename T, int SIDE>
__device__ inline void finish(const T (&sum)[4][4], T* shared) {
    typedef Place<SIDE> P;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            shared[P::slice() * Tile<SIDE>::ELEMENTS + (P::row() + i) * SIDE + P::column() + j] = sum[i][j];
    __syncthreads();
}

// Element e of the tile, row by row. Before shared memory is used again, the block's threads must meet.
template <typename T, int SIDE>
__device__ inline T finished(const T* shared, int e) {
    T sum = T(0);
#pragma unroll
    for (int slice = 0; slice < Tile<SIDE>::SLICES; slice++) sum += shared[slice * Tile<SIDE>::ELEMENTS + e];
    return sum;
}

// C = A B by tiles, for m, n, k of a form of ``product``.
template <typename T, int SIDE>
__device__ inline void multiply_tiles(const T* a, const T* b, T* c, Index m, Index n, Index k, Index form) {
    T* const shared = shared_memory<T>();
    const Index across = (n + SIDE - 1) / SIDE, tiles = (m + SIDE - 1) / SIDE * across;
    for (Index tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const Index row = tile / across * SIDE, column = tile % across * SIDE;
        T sum[4][4] = {};
        add_products_of<T, SIDE>(form, sum, a, b, m, n, k, row, column, shared);
        finish<T, SIDE>(sum, shared);
        for (int e = threadIdx.x; e < Tile<SIDE>::ELEMENTS; e += THREADS)
            if (row + e / SIDE < m && column + e % SIDE < n)
                c[(row + e / SIDE) * n + column + e % SIDE] = finished<T, SIDE>(shared, e);
        __syncthreads();
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2) multiply_32(
    const T* a, const T* b, T* c, Index m, Index n, Index k, Index form
) {
    multiply_tiles<T, 32>(a, b, c, m, n, k, form);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2) multiply_64(
    const T* a, const T* b, T* c, Index m, Index n, Index k, Index form
) {
    multiply_tiles<T, 64>(a, b, c, m, n, k, form);
}
