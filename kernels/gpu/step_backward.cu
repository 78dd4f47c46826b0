// The tasks of a step backwards: the gradients by weights, by biases, by a layer's input, by mu and logvar.

#include "activations.cu"
#include "latent.cu"
#include "rows.cu"
#include "step_records.cu"

// dW = x^T da, and the tile's part of the gradient's square.
template <typename T, int SIDE>
__device__ void weight_gradient(const Step& step, const Index* task, Index tile) {
    T* const shared = shared_memory<T>();
    const Part<T, SIDE> part(tile, task[task::INPUTS], task[task::OUTPUTS]);
    T* const d_w = at<T>(task, task::D_W);
    typename Tile<T, SIDE>::Sums sum = {};
    part.add(product::XT_DA, sum, at<T>(task, task::X), at<T>(task, task::D_Y), step.rows, shared);
    finish<T, SIDE>(sum, shared);
    double square = 0.0;
#pragma unroll 1
    for (int n = 0; n < part.EACH; n++) {
        if (!part.has(n)) continue;
        const T dw = finished<T, SIDE>(shared, part.element(n));
        d_w[part.place(n)] = dw;
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

// The gradient by a layer's input x, which is dx = da W^T, or da W^T + da_2 W_2^T where two layers are on one input; and
// what follows. Where x is the output of the layer below, the gradient by its a:
//     da = dx f'(x)
// and where x is the sample z, the gradient by mu and logvar, with those of beta KL / B:
//     dmu = dz + (beta / B) mu            dlogvar = dz eps s / 2 + (beta / B) (exp(logvar) - 1) / 2
template <typename T, int SIDE>
__device__ void input_gradient(const Step& step, const Index* task, Index tile) {
    typedef Part<T, SIDE> P;
    T* const shared = shared_memory<T>();
    const P part(tile, step.rows, task[task::INPUTS]);
    if (part.is_empty()) return;
    const bool sample = task[task::KIND] == kind::LATENT_GRADIENT;
    const T *const mu = at<T>(step.plan, plan::MU), *const logvar = at<T>(step.plan, plan::LOGVAR);
    const T *const eps = at<T>(step.plan, plan::EPS), *const x = at<T>(task, task::X);
    typename Tile<T, SIDE>::Sums sum = {};
    for (int layer = 0; layer < (task[task::W_2] ? 2 : 1); layer++)
        part.add(
            product::DA_WT, sum, at<T>(task, layer ? task::D_Y_2 : task::D_Y), at<T>(task, layer ? task::W_2 : task::W),
            task[task::OUTPUTS], shared
        );
    finish<T, SIDE>(sum, shared);
    const T dkl = sample ? T(step.beta() / double(step.rows)) : T(0);
#pragma unroll 1
    for (int n = 0; n < P::EACH; n += P::AT_ONCE) {
        T values[P::AT_ONCE], logvars[P::AT_ONCE], noise[P::AT_ONCE];
        part.take(values, sample ? mu : x, n);
        if (sample) part.take(logvars, logvar, n), part.take(noise, eps, n);
        FOR_ALL(j, P::AT_ONCE) {
            if (!part.has(n + j)) continue;
            const Index place = part.place(n + j);
            const T dx = finished<T, SIDE>(shared, part.element(n + j));
            if (sample) {
                at<T>(step.plan, plan::D_MU)[place] = dx + dkl * values[j];
                at<T>(step.plan, plan::D_LOGVAR)[place] =
                    sample_by_logvar(dx, logvars[j], noise[j]) + kl_by_logvar(dkl, logvars[j]);
            } else {
                at<T>(task, task::D_X)[place] = activate_backward(task[task::ACTIVATION], dx, values[j]);
            }
        }
    }
    __syncthreads();
}
