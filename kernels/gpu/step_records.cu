// What the tasks of a step stand on: the records of records.py, a step as its tasks see it, a tile of a matrix.

#include "product.cu"

// records.PHASE.
struct Phase {
    Index plan[plan::FIELDS], tasks, tiles, task[MOST_TASKS][task::FIELDS];
};

template <typename T>
__device__ inline T* at(const Index* record, int field) { return reinterpret_cast<T*>(record[field]); }

// A step as its tasks see it.
struct Step {
    const Index* plan;
    Index* call;
    Index number;  // in the call, from 0
    Index rows;    // of its batch

    __device__ Step(const Index* plan, Index number) : plan(plan), call(at<Index>(plan, plan::CALL)), number(number) {
        rows = smaller(plan[plan::BATCH], call[call::TOTAL] - call[call::START] - number * plan[plan::BATCH]);
    }

    // Whether it is to be taken: it is one of the call's, and no step before it was refused.
    __device__ bool is_due() const {
        return number < call[call::STEPS] && rows > 0 && current(&call[call::REFUSED]) >= number;
    }

    __device__ double constant(int which) const { return at<double>(plan, plan::CONSTANTS)[which]; }
    __device__ double beta() const { return at<double>(call, call::BETAS)[number]; }
};

// A tile of the matrix (rows, columns) that a task makes. A thread has up to EACH of its elements, n = 0, 1, ..., all in
// one column.
template <typename T, int SIDE>
struct Part {
    static const int EACH = (SIDE * SIDE + THREADS - 1) / THREADS;
    static const int AT_ONCE = EACH < 4 ? EACH : 4;  // what so many need from memory is asked for together

    Index first_row, first_column, rows, columns;

    __device__ Part(Index tile, Index rows, Index columns, int width = SIDE) : rows(rows), columns(columns) {
        const int across = (int)((columns + width - 1) / width);
        first_row = (int)tile / across * SIDE, first_column = (int)tile % across * width;
    }

    __device__ bool is_empty() const { return first_row >= rows; }  // in a batch of fewer rows
    static __device__ int element(int n) { return threadIdx.x + n * THREADS; }
    __device__ Index column() const { return first_column + threadIdx.x % SIDE; }
    __device__ Index place(int n) const { return (first_row + element(n) / SIDE) * columns + column(); }
    __device__ bool has(int n) const {
        return element(n) < SIDE * SIDE && first_row + element(n) / SIDE < rows && column() < columns;
    }

    // The thread's number of a vector over the columns.
    __device__ T of_column(const T* vector) const { return column() < columns ? vector[column()] : T(0); }

    // The thread's elements n, n + 1, ... of a matrix.
    __device__ void take(T (&numbers)[AT_ONCE], const T* matrix, int n) const {
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) numbers[j] = has(n + j) ? matrix[place(n + j)] : T(0);
    }

    // sum += a thread's terms of one of a layer's products.
    __device__ void add(
        Index form, typename Tile<T, SIDE>::Sums& sum, const T* a, const T* b, Index terms, T* shared
    ) const {
        add_products_of<T, SIDE>(form, sum, a, b, rows, columns, terms, first_row, first_column, shared);
    }
};

// Run a statement for j = 0, ..., AT_ONCE - 1 with numbers of arrays that stay in registers.
#define FOR_ALL(j, COUNT) _Pragma("unroll") for (int j = 0; j < COUNT; j++)
