// What the tasks of a step stand on: the records of cuda_plan.py, a step as its tasks see it, a tile of a matrix.

#include "product.cu"

// cuda_plan.PHASE.
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

// A tile of the matrix (rows, columns) that a task makes.
template <int SIDE>
struct Part {
    Index first_row, first_column, rows, columns;

    __device__ Part(Index tile, Index rows, Index columns) : rows(rows), columns(columns) {
        const Index across = (columns + SIDE - 1) / SIDE;
        first_row = tile / across * SIDE, first_column = tile % across * SIDE;
    }

    __device__ bool is_empty() const { return first_row >= rows; }  // in a batch of fewer rows
    __device__ Index column(int e) const { return first_column + e % SIDE; }
    __device__ Index place(int e) const { return (first_row + e / SIDE) * columns + column(e); }
    __device__ bool has(int e) const { return first_row + e / SIDE < rows && column(e) < columns; }

    // sum += a thread's terms of one of a layer's products.
    template <typename T>
    __device__ void add(Index form, T (&sum)[4][4], const T* a, const T* b, Index terms, T* shared) const {
        add_products_of<T, SIDE>(form, sum, a, b, rows, columns, terms, first_row, first_column, shared);
    }
};

// A thread's elements of a tile, one after the other.
#define FOR_ELEMENTS(e, SIDE) _Pragma("unroll 1") for (int e = threadIdx.x; e < SIDE * SIDE; e += THREADS)
