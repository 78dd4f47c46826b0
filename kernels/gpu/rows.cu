// Rows of matrices: taken by index, scaled, and summed down their columns.

#include "device.cu"

// out[r] = x[indices[r]] for x (N, columns); indices are from 0 to N - 1: an index outside gives a row of NaN.
template <typename T>
__global__ void take_rows(const T* x, const Index* indices, T* out, Index n, Index columns, Index rows) {
    for (Index i = first_index(); i < rows * columns; i += all_threads()) {
        const Index source = indices[i / columns];
        out[i] = source >= 0 && source < n ? x[source * columns + i % columns] : T(nan(""));
    }
}

// out = x times the row's factor.
template <typename T>
__global__ void scale_rows(const T* x, const T* factor, T* out, Index rows, Index columns) {
    for (Index i = first_index(); i < rows * columns; i += all_threads()) out[i] = x[i] * factor[i / columns];
}

// out = x times a number.
template <typename T>
__global__ void scale(const T* x, T* out, Index n, T factor) {
    for (Index i = first_index(); i < n; i += all_threads()) out[i] = x[i] * factor;
}

#define SUM_ROWS (THREADS / SUM_COLUMNS)

// The sums of what the threads of equal ``threadIdx.x % SUM_COLUMNS`` bring, for the first SUM_COLUMNS threads; others
// get 0. room: THREADS numbers, which may be used again as soon as this returns.
template <typename T>
__device__ inline T sum_of_groups(T value, T* room) {
    room[threadIdx.x] = value;
    __syncthreads();
    T sum = T(0);
    if (threadIdx.x < SUM_COLUMNS)
        for (int i = 0; i < SUM_ROWS; i++) sum += room[i * SUM_COLUMNS + threadIdx.x];
    __syncthreads();
    return sum;
}

// The sums of SUM_COLUMNS columns from ``first`` on, each in thread number ``column - first`` of the block.
template <typename T>
__device__ inline T sum_of_columns(const T* x, Index rows, Index columns, Index first, T* room) {
    const Index column = first + threadIdx.x % SUM_COLUMNS;
    T sum = T(0);
    if (column < columns)
        for (Index row = threadIdx.x / SUM_COLUMNS; row < rows; row += SUM_ROWS) sum += x[row * columns + column];
    return sum_of_groups(sum, room);
}

// sums[j] = sum over rows of x[:, j]; a block for SUM_COLUMNS columns.
template <typename T>
__global__ void column_sums(const T* x, T* sums, Index rows, Index columns) {
    for (Index first = (Index)blockIdx.x * SUM_COLUMNS; first < columns; first += (Index)gridDim.x * SUM_COLUMNS) {
        const T sum = sum_of_columns(x, rows, columns, first, shared_memory<T>());
        if (threadIdx.x < SUM_COLUMNS && first + threadIdx.x < columns) sums[first + threadIdx.x] = sum;
    }
}
