// The tasks of a step backwards: the gradients by weights, by biases, by a layer's input, by mu and logvar.

#include "activations.cu"
#include "latent.cu"
#include "rows.cu"
#include "step_records.cu"

// dW = x^T da, and the tile's part of the gradient's square.
template <typename T, int SIDE>
__device__ void weight_gradient(const Step& step, const Index* task, Index tile) {
    T* const shared = shared_memory<T>();
    const Part<SIDE> part(tile, task[task::INPUTS], task[task::OUTPUTS]);
    T sum[4][4] = {};
    part.add(product::XT_DA, sum, at<T>(task, task::X), at<T>(task, task::D_Y), step.rows, shared);
    finish<T, SIDE>(sum, shared);
    double square = 0.0;
    FOR_ELEMENTS(e, SIDE) {
        if (!part.has(e)) continue;
        const T dw = finished<T, SIDE>(shared, e);
        at<T>(task, task::D_W)[part.place(e)] = dw;
        square += double(dw) * double(dw);
    }
    __syncthreads();
    square = block_sum(square, shared_memory<double>());
    if (threadIdx.x == 0) at<double>(step.plan, plan::NORM_PARTIAL)[task[task::PARTIAL] + tile] = square;
}

// db = the sum of da's rows, and the tile's part of the gradient's square.
template <typename T>
__device__ void bias_gradient(const Step& step, const Index* task, Index tile) {
    const Index outputs = task[task::OUTPUTS], column = tile * SUM_COLUMNS + threadIdx.x;
    const T sum = sum_of_columns(at<T>(task, task::D_Y), step.rows, outputs, tile * SUM_COLUMNS, shared_memory<T>());
    double square = 0.0;
    if (threadIdx.x < SUM_COLUMNS && column < outputs) {
        at<T>(task, task::D_B)[column] = sum;
        square = double(sum) * double(sum);
    }
    square = block_sum(square, shared_memory<double>());
    if (threadIdx.x == 0) at<double>(step.plan, plan::NORM_PARTIAL)[task[task::PARTIAL] + tile] = square;
}

// The tile of da W^T, and of da_2 W_2^T where there is a second layer on the same input, into shared memory.
template <typename T, int SIDE>
__device__ inline void input_gradient_tile(const Part<SIDE>& part, const Index* task, T* shared) {
    const Index outputs = task[task::OUTPUTS];
    T sum[4][4] = {};
    part.add(product::DA_WT, sum, at<T>(task, task::D_Y), at<T>(task, task::W), outputs, shared);
    if (task[task::W_2])
        part.add(product::DA_WT, sum, at<T>(task, task::D_Y_2), at<T>(task, task::W_2), outputs, shared);
    finish<T, SIDE>(sum, shared);
}

// The gradient by the a of the layer below: (da W^T) f'(x), where x is that layer's output.
template <typename T, int SIDE>
__device__ void input_gradient(const Step& step, const Index* task, Index tile) {
    T* const shared = shared_memory<T>();
    const Part<SIDE> part(tile, step.rows, task[task::INPUTS]);
    if (part.is_empty()) return;
    input_gradient_tile<T, SIDE>(part, task, shared);
    FOR_ELEMENTS(e, SIDE) {
        if (!part.has(e)) continue;
        const T x = at<T>(task, task::X)[part.place(e)];
        at<T>(task, task::D_X)[part.place(e)] =
            activate_backward(task[task::ACTIVATION], finished<T, SIDE>(shared, e), x);
    }
    __syncthreads();
}

// dz = da W^T;  dmu = dz + (beta / B) mu;  dlogvar = dz eps s / 2 + (beta / B) (exp(logvar) - 1) / 2.
template <typename T>
__device__ void latent_gradient(const Step& step, const Index* task, Index tile) {
    const int SIDE = 32;
    T* const shared = shared_memory<T>();
    const Part<SIDE> part(tile, step.rows, task[task::INPUTS]);
    if (part.is_empty()) return;
    input_gradient_tile<T, SIDE>(part, task, shared);
    const T dkl = T(step.beta() / double(step.rows));
    FOR_ELEMENTS(e, SIDE) {
        if (!part.has(e)) continue;
        const Index i = part.place(e);
        const T dz = finished<T, SIDE>(shared, e);
        const T logvar = at<T>(step.plan, plan::LOGVAR)[i], eps = at<T>(step.plan, plan::EPS)[i];
        at<T>(step.plan, plan::D_MU)[i] = dz + dkl * at<T>(step.plan, plan::MU)[i];
        at<T>(step.plan, plan::D_LOGVAR)[i] = sample_by_logvar(dz, logvar, eps) + kl_by_logvar(dkl, logvar);
    }
    __syncthreads();
}
