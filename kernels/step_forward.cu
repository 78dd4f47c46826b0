// The tasks of a step forwards: the batch's rows, dense layers, the latent space, the outputs with their likelihood.

#include "activations.cu"
#include "latent.cu"
#include "likelihoods.cu"
#include "philox.cu"
#include "rows.cu"
#include "step_records.cu"

// x = the batch's rows of the data, drawn as zeros and ones if the plan says so; with NEXT those of the step after.
template <typename T>
__device__ void gather(const Step& step, const Index* task, Index tile) {
    const Index number = step.number + task[task::NEXT], features = step.plan[plan::FEATURES];
    const Index start = step.call[call::START] + number * step.plan[plan::BATCH];
    const Index rows = smaller(step.plan[plan::BATCH], step.call[call::TOTAL] - start);
    if (number >= step.call[call::STEPS]) return;
    const T* const data = at<T>(step.plan, plan::DATA);
    T* const x = at<T>(step.plan, plan::BATCH_X);
    const Index* const order = at<Index>(step.call, call::ORDER) + start;
    const Word purpose = step.plan[plan::BINARIZE_PURPOSE];
    // Four elements a thread: as many as a counter has words.
    for (Index four = tile * THREADS + threadIdx.x; four * 4 < rows * features; four += task[task::TILES] * THREADS) {
        Word words[4];
        if (purpose) philox(step.plan[plan::SEED], purpose, step.call[call::STEP] + number, four + 1, words);
        for (int j = 0; j < 4 && four * 4 + j < rows * features; j++) {
            const Index i = four * 4 + j;
            const T value = data[order[i / features] * features + i % features];
            x[i] = purpose ? draw_bernoulli(value, words[j]) : value;
        }
    }
}

// y = f(x W + b).
template <typename T, int SIDE>
__device__ void dense(const Step& step, const Index* task, Index tile) {
    T* const shared = shared_memory<T>();
    const Part<SIDE> part(tile, step.rows, task[task::OUTPUTS]);
    if (part.is_empty()) return;
    T sum[4][4] = {};
    part.add(product::X_W, sum, at<T>(task, task::X), at<T>(task, task::W), task[task::INPUTS], shared);
    finish<T, SIDE>(sum, shared);
    FOR_ELEMENTS(e, SIDE) {
        if (!part.has(e)) continue;
        const T a = finished<T, SIDE>(shared, e) + at<T>(task, task::B)[part.column(e)];
        at<T>(task, task::Y)[part.place(e)] = activate(task[task::ACTIVATION], a);
    }
    __syncthreads();
}

// mu = x W + b, logvar = x W_2 + b_2, z = mu + exp(logvar / 2) eps; the tile's sums of KL, mu and mu^2 over its rows.
template <typename T>
__device__ void latent(const Step& step, const Index* task, Index tile) {
    const int SIDE = 32;
    T* const shared = shared_memory<T>();
    const Index inputs = task[task::INPUTS], latent = task[task::OUTPUTS], number = step.call[call::STEP] + step.number;
    const Part<SIDE> part(tile, step.rows, latent);
    T* const mu = at<T>(step.plan, plan::MU);
    T* const logvar = at<T>(step.plan, plan::LOGVAR);
    if (!part.is_empty()) {
        T sum[4][4] = {}, sum_2[4][4] = {};
        part.add(product::X_W, sum, at<T>(task, task::X), at<T>(task, task::W), inputs, shared);
        part.add(product::X_W, sum_2, at<T>(task, task::X), at<T>(task, task::W_2), inputs, shared);
        finish<T, SIDE>(sum, shared);
        FOR_ELEMENTS(e, SIDE)
            if (part.has(e)) mu[part.place(e)] = finished<T, SIDE>(shared, e) + at<T>(task, task::B)[part.column(e)];
        __syncthreads();
        finish<T, SIDE>(sum_2, shared);
        FOR_ELEMENTS(e, SIDE) {
            if (!part.has(e)) continue;
            const Index i = part.place(e);
            const T value = finished<T, SIDE>(shared, e) + at<T>(task, task::B_2)[part.column(e)];
            const T eps = T(normal_number(step.plan[plan::SEED], step.plan[plan::NOISE_PURPOSE], number, i));
            logvar[i] = value;
            at<T>(step.plan, plan::EPS)[i] = eps;
            at<T>(step.plan, plan::Z)[i] = sample_of(mu[i], value, eps);
        }
        __syncthreads();
    }
    double* const partial = at<double>(step.plan, plan::LATENT_PARTIAL) + part.first_row / SIDE * 3 * latent;
    double sums[3] = {};  // of this thread's elements, which all are in one column of the tile
    FOR_ELEMENTS(e, SIDE) {
        if (!part.has(e)) continue;
        const T value = mu[part.place(e)];
        sums[0] += double(kl_of(value, logvar[part.place(e)]));
        sums[1] += double(value);
        sums[2] += double(value) * double(value);
    }
    for (int which = 0; which < 3; which++) {
        const double sum = sum_of_groups(sums[which], shared_memory<double>());
        if (threadIdx.x < SIDE && part.column(threadIdx.x) < latent)
            partial[which * latent + part.column(threadIdx.x)] = sum;
    }
}

// a = x W + b, the likelihood's parameters of x; d_a = the loss's derivative by them; the tile's sum of nll's terms.
template <typename T, int SIDE>
__device__ void output(const Step& step, const Index* task, Index tile) {
    T* const shared = shared_memory<T>();
    const Part<SIDE> part(tile, step.rows, task[task::OUTPUTS]);
    double nll = 0.0;
    if (!part.is_empty()) {
        T sum[4][4] = {};
        part.add(product::X_W, sum, at<T>(task, task::X), at<T>(task, task::W), task[task::INPUTS], shared);
        finish<T, SIDE>(sum, shared);
        const bool bernoulli = step.plan[plan::LIKELIHOOD] == likelihood::BERNOULLI;
        const T scale = T(step.constant(constant::LIKELIHOOD_SCALE) / double(step.rows));
        FOR_ELEMENTS(e, SIDE) {
            if (!part.has(e)) continue;
            const T a = finished<T, SIDE>(shared, e) + at<T>(task, task::B)[part.column(e)];
            const T x = at<T>(step.plan, plan::BATCH_X)[part.place(e)];
            nll += double(bernoulli ? bernoulli_term(a, x) : (a - x) * (a - x));
            at<T>(task, task::D_Y)[part.place(e)] = (bernoulli ? bernoulli_residual(a, x) : a - x) * scale;
        }
        __syncthreads();
    }
    nll = block_sum(nll, shared_memory<double>());
    if (threadIdx.x == 0) at<double>(step.plan, plan::NLL_PARTIAL)[task[task::PARTIAL] + tile] = nll;
}
