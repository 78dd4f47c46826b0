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
    // Four elements a thread: as many as a counter has words. What they are made of is asked for together.
    for (Index four = tile * THREADS + threadIdx.x; four * 4 < rows * features; four += task[task::TILES] * THREADS) {
        Index row = four * 4 / features, column = four * 4 % features, from[4];
        T values[4];
        FOR_ALL(j, 4) {
            from[j] = row < rows ? order[row] * features + column : -1;
            if (++column == features) row++, column = 0;
        }
        FOR_ALL(j, 4) values[j] = from[j] < 0 ? T(0) : data[from[j]];
        Word words[4];
        if (purpose) philox(step.plan[plan::SEED], purpose, step.call[call::STEP] + number, four + 1, words);
        FOR_ALL(j, 4) if (from[j] >= 0) x[four * 4 + j] = purpose ? draw_bernoulli(values[j], words[j]) : values[j];
    }
}

// A likelihood's term of nll, and its derivative, by the code of the plan and up to the plan's constants.
template <typename T>
__device__ inline T term_of(Index kind, T a, T x) {
    switch (kind) {
        case likelihood::BERNOULLI: return bernoulli_term(a, x);
        case likelihood::FIXED_VARIANCE: return (a - x) * (a - x);
        default: return not_a_number<T>();
    }
}

template <typename T>
__device__ inline T residual_of(Index kind, T a, T x) {
    switch (kind) {
        case likelihood::BERNOULLI: return bernoulli_residual(a, x);
        case likelihood::FIXED_VARIANCE: return a - x;
        default: return not_a_number<T>();
    }
}

// a = x W + b, and what follows: y = f(a) for a hidden layer; for the last one, where a are the likelihood's parameters of
// x, the loss's derivative by them and the tile's sum of nll's terms.
template <typename T, int SIDE>
__device__ void forward(const Step& step, const Index* task, Index tile) {
    typedef Part<T, SIDE> P;
    T* const shared = shared_memory<T>();
    const P part(tile, step.rows, task[task::OUTPUTS]);
    const bool last = task[task::KIND] == kind::OUTPUT;
    double nll = 0.0;
    if (!part.is_empty()) {
        const T b = part.of_column(at<T>(task, task::B)), *const batch_x = at<T>(step.plan, plan::BATCH_X);
        T x[P::AT_ONCE] = {};
        if (last) part.take(x, batch_x, 0);
        typename Tile<T, SIDE>::Sums sum = {};
        part.add(product::X_W, sum, at<T>(task, task::X), at<T>(task, task::W), task[task::INPUTS], shared);
        finish<T, SIDE>(sum, shared);
        if (!last) {
#pragma unroll 1
            for (int n = 0; n < P::EACH; n++)
                if (part.has(n))
                    at<T>(task, task::Y)[part.place(n)] =
                        activate(task[task::ACTIVATION], finished<T, SIDE>(shared, part.element(n)) + b);
        } else {
            const Index kind = step.plan[plan::LIKELIHOOD];
            const T scale = T(step.constant(constant::LIKELIHOOD_SCALE) / double(step.rows));
#pragma unroll 1
            for (int n = 0; n < P::EACH; n += P::AT_ONCE) {
                if (n) part.take(x, batch_x, n);
                FOR_ALL(j, P::AT_ONCE) {
                    if (!part.has(n + j)) continue;
                    const T a = finished<T, SIDE>(shared, part.element(n + j)) + b;
                    nll += double(term_of(kind, a, x[j]));
                    at<T>(task, task::D_Y)[part.place(n + j)] = residual_of(kind, a, x[j]) * scale;
                }
            }
        }
        __syncthreads();
    }
    if (!last) return;
    nll = block_sum(nll, shared_memory<double>());
    if (threadIdx.x == 0) at<double>(step.plan, plan::NLL_PARTIAL)[task[task::PARTIAL] + tile] = nll;
}

// mu = x W + b, logvar = x W_2 + b_2, z = mu + exp(logvar / 2) eps; the tile's sums of KL, mu and mu^2 over its rows.
// Both products are one tile, half of it each; a thread of the first half of the block makes one z.
template <typename T>
__device__ void latent(const Step& step, const Index* task, Index tile) {
    const int SIDE = LATENT_ROWS, WIDTH = SIDE / 2;
    T* const shared = shared_memory<T>();
    const Index latent = task[task::OUTPUTS], number = step.call[call::STEP] + step.number;
    const Part<T, SIDE> part(tile, step.rows, latent, WIDTH);
    const int row = threadIdx.x / WIDTH, column = threadIdx.x % WIDTH;
    const bool has = row < SIDE && part.first_row + row < step.rows && part.first_column + column < latent;
    const Index place = (part.first_row + row) * latent + part.first_column + column;
    double terms[3] = {};  // KL, mu, mu^2
    if (!part.is_empty()) {
        T b = 0, b_2 = 0, eps = 0;  // what needs no sums comes first
        if (has) {
            b = at<T>(task, task::B)[part.first_column + column], b_2 = at<T>(task, task::B_2)[part.first_column + column];
            eps = T(normal_number(step.plan[plan::SEED], step.plan[plan::NOISE_PURPOSE], number, place));
        }
        typename Tile<T, SIDE>::Sums sum = {};
        add_products<T, SIDE, BY_ROWS, BY_COLUMNS, true>(
            sum, at<T>(task, task::X), task[task::INPUTS], at<T>(task, task::W), latent, step.rows, latent,
            task[task::INPUTS], part.first_row, part.first_column, shared, at<T>(task, task::W_2)
        );
        finish<T, SIDE>(sum, shared);
        if (has) {
            const T mu = finished<T, SIDE>(shared, row * SIDE + column) + b;
            const T logvar = finished<T, SIDE>(shared, row * SIDE + WIDTH + column) + b_2;
            at<T>(step.plan, plan::MU)[place] = mu;
            at<T>(step.plan, plan::LOGVAR)[place] = logvar;
            at<T>(step.plan, plan::EPS)[place] = eps;
            at<T>(step.plan, plan::Z)[place] = sample_of(mu, logvar, eps);
            terms[0] = double(kl_of(mu, logvar)), terms[1] = double(mu), terms[2] = double(mu) * double(mu);
        }
        __syncthreads();
    }
    double* const room = shared_memory<double>();
    for (int which = 0; which < 3; which++) room[which * THREADS + threadIdx.x] = terms[which];
    __syncthreads();
    if (threadIdx.x < 3 * WIDTH && part.first_column + column < latent) {  // ``row`` is one of the three terms here
        double sum = 0.0;
        for (int i = 0; i < SIDE; i++) sum += room[row * THREADS + i * WIDTH + column];
        at<double>(step.plan, plan::LATENT_PARTIAL)[
            (part.first_row / SIDE * 3 + row) * latent + part.first_column + column] = sum;
    }
    __syncthreads();
}
