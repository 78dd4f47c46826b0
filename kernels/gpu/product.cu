// Matrix products of our own: a CUDA graph cannot hold cuBLAS's, and what follows a product (bias, activation,
// likelihood) is applied to its numbers before they leave the block.
//
// A block makes a tile of SIDE x SIDE outputs. Its threads form SLICES groups; group s adds up the terms s, s + SLICES,
// ... of every output, and the groups' sums are added at the end, in order. So a small tile has as many threads as a large
// one, and a thin product keeps the device as busy:
//
//                float32                        float64
//     SIDE    outputs a thread    SLICES    DEPTH       outputs a thread    SLICES    DEPTH
//     16      4 x 4               32        256         4 x 4               32        128
//     32      4 x 4               8         128         4 x 4               8         64
//     64      8 x 4               4         64          4 x 4               2         32
//
// DEPTH is how many terms are in shared memory at a time.
// The next terms are fetched from memory while those in shared memory are multiplied. The outputs end in shared memory,
// row by row, from where neighbouring threads take neighbours.

#include "device.cu"

template <typename T, int SIDE>
struct Tile {
    static const int TALL = SIDE == 64 && sizeof(T) == 4 ? 8 : 4;  // a thread makes TALL x 4 outputs
    static const int ACROSS = SIDE / 4, DOWN = SIDE / TALL;        // threads of a group
    static const int SLICES = THREADS / (ACROSS * DOWN);
    static const int DEPTH = 16384 / (SIDE * sizeof(T));
    static const int ELEMENTS = SIDE * SIDE;
    static const int FETCHED = SIDE * DEPTH / THREADS;  // numbers of A, and of B, that a thread brings
    static const int PITCH = SIDE + 4;  // of a row in shared memory: no conflicts of banks, and aligned
    static const int NUMBERS = 2 * DEPTH * PITCH;  // of shared memory
    static const bool SIDE_BY_SIDE = SLICES * ELEMENTS <= NUMBERS;  // whether it has room for every group's sums

    typedef T Sums[TALL][4];
};

// Where a matrix is, and which of its two dimensions is the one that is summed over.
//     BY_ROWS      element (i, k) of the operand is at p[i pitch + k]
//     BY_COLUMNS   element (i, k) is at p[k pitch + i]
enum Order { BY_ROWS, BY_COLUMNS };

// How the threads share a SIDE x DEPTH piece of an operand: number j of a thread is element (i + i_step(j), k + k_step(j)).
// By columns neighbours take neighbours in memory. By rows every warp takes 4 rows of 8 terms: whole sectors of memory,
// and when they are put into shared memory, 32 different banks.
template <typename T, int SIDE, Order ORDER>
struct Share {
    static const int WARPS = THREADS / WARP, ALONG = Tile<T, SIDE>::DEPTH / 8, TURNS = ALONG > WARPS ? ALONG / WARPS : 1,
                     SIDEWAYS = ALONG > WARPS ? WARPS : ALONG;

    static __device__ inline int i() {
        return ORDER == BY_ROWS ? threadIdx.x / 8 % 4 + threadIdx.x / WARP / SIDEWAYS * 4 : threadIdx.x % SIDE;
    }
    static __device__ inline int k() {
        return ORDER == BY_ROWS ? threadIdx.x % 8 + threadIdx.x / WARP % SIDEWAYS * 8 : threadIdx.x / SIDE;
    }
    static __device__ constexpr int i_step(int j) { return ORDER == BY_ROWS ? j / TURNS * (WARPS / SIDEWAYS) * 4 : 0; }
    static __device__ constexpr int k_step(int j) {
        return ORDER == BY_ROWS ? j % TURNS * WARPS * 8 : j * (THREADS / SIDE);
    }
};

// A thread's share of the piece whose first element is at p, of which ``rows`` rows and ``terms`` terms exist; 0
// outside.
template <typename T, int SIDE, Order ORDER>
__device__ inline void fetch(T (&numbers)[Tile<T, SIDE>::FETCHED], const T* p, Index pitch, Index rows, Index terms) {
    typedef Share<T, SIDE, ORDER> S;
    const int more_rows = (int)smaller(rows, SIDE) - S::i(), more_terms = (int)smaller(terms, Tile<T, SIDE>::DEPTH) - S::k();
    p += ORDER == BY_ROWS ? S::i() * pitch + S::k() : S::k() * pitch + S::i();
#pragma unroll
    for (int j = 0; j < Tile<T, SIDE>::FETCHED; j++) {
        const int i = S::i_step(j), k = S::k_step(j);
        numbers[j] = i < more_rows && k < more_terms ? p[ORDER == BY_ROWS ? i * pitch + k : k * pitch + i] : T(0);
    }
}

// Put it into shared memory, term by term.
template <typename T, int SIDE, Order ORDER>
__device__ inline void put(const T (&numbers)[Tile<T, SIDE>::FETCHED], T* shared) {
    typedef Share<T, SIDE, ORDER> S;
    shared += S::k() * Tile<T, SIDE>::PITCH + S::i();
#pragma unroll
    for (int j = 0; j < Tile<T, SIDE>::FETCHED; j++) shared[S::k_step(j) * Tile<T, SIDE>::PITCH + S::i_step(j)] = numbers[j];
}

// A thread's TALL x 4 outputs: which group it is in, and where they are in the tile: squares of 4 x 4, far apart, so that
// the threads of a warp read neighbouring numbers of shared memory.
template <typename T, int SIDE>
struct Place {
    typedef Tile<T, SIDE> S;
    static const int GROUP = S::ACROSS * S::DOWN;

    static __device__ inline int slice() { return threadIdx.x / GROUP; }
    static __device__ inline int row(int i) {
        return threadIdx.x % GROUP / S::ACROSS * 4 + i / 4 * (4 * S::DOWN) + i % 4;
    }
    static __device__ inline int column(int j) { return threadIdx.x % S::ACROSS * 4 + j; }
};

// sum += a thread's terms of the tile at (row, column) of C = A B, (m, n), of k terms each. shared: Tile::NUMBERS
// numbers, which may be used again as soon as this returns.
//
// With TWO, for B by columns, the tile is of two products side by side: the second half of its columns belongs to b_2,
// which is as large as b, from the same ``column`` on.
template <typename T, int SIDE, Order A_ORDER, Order B_ORDER, bool TWO = false>
__device__ inline void add_products(
    typename Tile<T, SIDE>::Sums& sum, const T* a, Index a_pitch, const T* b, Index b_pitch, Index m, Index n, Index k,
    Index row, Index column, T* shared, const T* b_2 = nullptr
) {
    typedef Tile<T, SIDE> S;
    typedef Place<T, SIDE> P;
    T* const shared_a = shared;
    T* const shared_b = shared + S::DEPTH * S::PITCH;
    T next_a[S::FETCHED], next_b[S::FETCHED];
    const bool second = TWO && Share<T, SIDE, B_ORDER>::i() >= SIDE / 2;
    const Index a_rows = m - row, b_rows = n - column + (second ? SIDE / 2 : 0);
    // From here on a and b are where the next piece begins.
    a += A_ORDER == BY_ROWS ? row * a_pitch : row;
    b = (second ? b_2 - SIDE / 2 : b) + (B_ORDER == BY_ROWS ? column * b_pitch : column);
    fetch<T, SIDE, A_ORDER>(next_a, a, a_pitch, a_rows, k);
    fetch<T, SIDE, B_ORDER>(next_b, b, b_pitch, b_rows, k);
    for (Index left_over = k; left_over > 0; left_over -= S::DEPTH) {
        put<T, SIDE, A_ORDER>(next_a, shared_a);
        put<T, SIDE, B_ORDER>(next_b, shared_b);
        __syncthreads();
        if (left_over > S::DEPTH) {
            a += A_ORDER == BY_ROWS ? S::DEPTH : S::DEPTH * a_pitch;
            b += B_ORDER == BY_ROWS ? S::DEPTH : S::DEPTH * b_pitch;
            fetch<T, SIDE, A_ORDER>(next_a, a, a_pitch, a_rows, left_over - S::DEPTH);
            fetch<T, SIDE, B_ORDER>(next_b, b, b_pitch, b_rows, left_over - S::DEPTH);
        }
#pragma unroll(16 / S::TALL)
        for (int t = P::slice(); t < S::DEPTH; t += S::SLICES) {
            T left[S::TALL], right[4];
#pragma unroll
            for (int i = 0; i < S::TALL; i++) left[i] = shared_a[t * S::PITCH + P::row(i)];
#pragma unroll
            for (int j = 0; j < 4; j++) right[j] = shared_b[t * S::PITCH + P::column(j)];
#pragma unroll
            for (int i = 0; i < S::TALL; i++)
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
    Index form, typename Tile<T, SIDE>::Sums& sum, const T* a, const T* b, Index m, Index n, Index k, Index row,
    Index column, T* shared
) {
    if (form == product::X_W)
        add_products<T, SIDE, BY_ROWS, BY_COLUMNS>(sum, a, k, b, n, m, n, k, row, column, shared);
    else if (form == product::DA_WT)
        add_products<T, SIDE, BY_ROWS, BY_ROWS>(sum, a, k, b, k, m, n, k, row, column, shared);
    else if (form == product::XT_DA)
        add_products<T, SIDE, BY_COLUMNS, BY_COLUMNS>(sum, a, m, b, n, m, n, k, row, column, shared);
}

// Put the threads' sums into shared memory, where ``finished`` finds the outputs.
template <typename T, int SIDE>
__device__ inline void finish(const typename Tile<T, SIDE>::Sums& sum, T* shared) {
    typedef Tile<T, SIDE> S;
    typedef Place<T, SIDE> P;
    // One group after the other adds its own, where there is no room for all.
    for (int slice = 0; slice < (S::SIDE_BY_SIDE ? 1 : S::SLICES); slice++) {
        if (S::SIDE_BY_SIDE || slice == P::slice()) {
#pragma unroll
            for (int i = 0; i < S::TALL; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const int e = P::row(i) * SIDE + P::column(j);
                    if (S::SIDE_BY_SIDE)
                        shared[P::slice() * S::ELEMENTS + e] = sum[i][j];
                    else
                        shared[e] = slice == 0 ? sum[i][j] : shared[e] + sum[i][j];
                }
        }
        __syncthreads();
    }
}

// Element e of the tile, row by row. Before shared memory is used again, the block's threads must meet.
template <typename T, int SIDE>
__device__ inline T finished(const T* shared, int e) {
    T sum = shared[e];
#pragma unroll
    for (int slice = 1; slice < (Tile<T, SIDE>::SIDE_BY_SIDE ? Tile<T, SIDE>::SLICES : 1); slice++)
        sum += shared[slice * Tile<T, SIDE>::ELEMENTS + e];
    return sum;
}

// C = A B by tiles, for m, n, k of a form of ``product``.
template <typename T, int SIDE>
__device__ inline void multiply_tiles(const T* a, const T* b, T* c, Index m, Index n, Index k, Index form) {
    T* const shared = shared_memory<T>();
    const Index across = (n + SIDE - 1) / SIDE, tiles = (m + SIDE - 1) / SIDE * across;
    for (Index tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const Index row = tile / across * SIDE, column = tile % across * SIDE;
        typename Tile<T, SIDE>::Sums sum = {};
        add_products_of<T, SIDE>(form, sum, a, b, m, n, k, row, column, shared);
        finish<T, SIDE>(sum, shared);
        for (int e = threadIdx.x; e < SIDE * SIDE; e += THREADS)
            if (row + e / SIDE < m && column + e % SIDE < n)
                c[(row + e / SIDE) * n + column + e % SIDE] = finished<T, SIDE>(shared, e);
        __syncthreads();
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) multiply_16(
    const T* a, const T* b, T* c, Index m, Index n, Index k, Index form
) {
    multiply_tiles<T, 16>(a, b, c, m, n, k, form);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) multiply_32(
    const T* a, const T* b, T* c, Index m, Index n, Index k, Index form
) {
    multiply_tiles<T, 32>(a, b, c, m, n, k, form);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) multiply_64(
    const T* a, const T* b, T* c, Index m, Index n, Index k, Index form
) {
    multiply_tiles<T, 64>(a, b, c, m, n, k, form);
}
