// A training step as phases of tasks, all on the device: npvae/objectives.py and the optimisers, without the host.
//
//     forward    y = f(x W + b) layer by layer; both latent heads at once, with sample and KL; outputs with likelihood
//     backward   dW = x^T da, db = sum of da's rows, dx = (da W^T) f', of a layer in one phase
//     update     theta, if loss and gradient are finite; and the next batch's rows
//
// A phase is a list of tasks that need nothing from each other, and a task is a number of tiles: any block may do any
// tile. All memory is laid out beforehand and its addresses stand in records (cuda_plan.py), so a phase is a launch with
// a record and a number, a step is always the same launches, and a graph of many steps can be replayed: which step it
// is follows from the call's BASE and the launch's place in the graph.
//
// Every sum has its fixed order, so equal runs have equal bits. Nothing is read through the read-only cache (no
// __restrict__): in steps_together.cu other blocks write these arrays while the kernel runs.

#include "activations.cu"
#include "latent.cu"
#include "likelihoods.cu"
#include "optimizers.cu"
#include "philox.cu"
#include "product.cu"
#include "rows.cu"

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

// A block's sum of some numbers, for all its threads.
__device__ inline double sum_of_all(const double* numbers, Index count, double* shared) {
    double sum = 0.0;
    for (Index i = threadIdx.x; i < count; i += THREADS) sum += numbers[i];
    return block_sum(sum, shared);
}

// A step's totals: what decides whether it is taken.
struct Totals {
    double nll, kl, loss, norm;
};

// Every block adds the partial sums up itself, all in the same order.
__device__ inline Totals totals_of(const Step& step, double* shared) {
    const Index* const plan = step.plan;
    const Index latent = plan[plan::LATENT];
    Totals totals;
    totals.nll = step.constant(constant::LIKELIHOOD_FACTOR)
            * sum_of_all(at<double>(plan, plan::NLL_PARTIAL), plan[plan::NLL_PARTS], shared)
        + double(step.rows) * step.constant(constant::LIKELIHOOD_CONSTANT);
    double kl = 0.0;
    for (Index i = threadIdx.x; i < plan[plan::LATENT_PARTS] * latent; i += THREADS)
        kl += at<double>(plan, plan::LATENT_PARTIAL)[i / latent * 3 * latent + i % latent];
    totals.kl = block_sum(kl, shared);
    totals.norm = sqrt(sum_of_all(at<double>(plan, plan::NORM_PARTIAL), plan[plan::NORM_PARTS], shared));
    totals.loss = (totals.nll + step.beta() * totals.kl) / double(step.rows);
    return totals;
}

// Write down a step that is taken: its loss and the length of its gradient, and the sums for the history.
__device__ inline void record(const Step& step, const Totals& totals) {
    const Index* const plan = step.plan;
    const Index three = 3 * plan[plan::LATENT];
    double* const sums = at<double>(plan, plan::SUMS);
    if (threadIdx.x == 0) {
        at<double>(step.call, call::LOSSES)[step.number] = totals.loss;
        at<double>(step.call, call::NORMS)[step.number] = totals.norm;
        sums[0] += totals.loss * double(step.rows);
        sums[1] += totals.nll;
    }
    for (Index i = threadIdx.x; i < three; i += THREADS) {
        double sum = 0.0;
        for (Index part = 0; part < plan[plan::LATENT_PARTS]; part++)
            sum += at<double>(plan, plan::LATENT_PARTIAL)[part * three + i];
        sums[SUMS_HEAD + i] += sum;
    }
}

// theta and the optimiser's state after a step whose gradient, scaled by ``clip``, is g.
template <typename T>
__device__ inline void update_parameter(const Step& step, Index i, T clip, T rate, T root_scale) {
    const Index* const plan = step.plan;
    T& theta = at<T>(plan, plan::THETA)[i];
    T* const state = at<T>(plan, plan::STATE);
    T* const state_2 = at<T>(plan, plan::STATE_2);
    const T g = at<T>(plan, plan::GRADIENT)[i] * clip, epsilon = T(step.constant(constant::EPSILON));
    const double rho = step.constant(constant::RHO), beta_1 = step.constant(constant::BETA_1),
                 beta_2 = step.constant(constant::BETA_2);
    switch (plan[plan::OPTIMIZER]) {
        case optimizer::RMSPROP_INSIDE:
            return rmsprop_inside(theta, g, state[i], rate, T(rho), T(1.0 - rho), epsilon);
        case optimizer::RMSPROP_OUTSIDE:
            return rmsprop_outside(theta, g, state[i], rate, T(rho), T(1.0 - rho), epsilon);
        case optimizer::ADAM:
            return adam(
                theta, g, state[i], state_2[i], rate, T(beta_1), T(1.0 - beta_1), T(beta_2), T(1.0 - beta_2), epsilon,
                root_scale
            );
        case optimizer::MOMENTUM:
            return momentum(theta, g, state[i], rate, T(step.constant(constant::MOMENTUM)));
        default: theta -= rate * g;
    }
}

// The optimiser's step, unless loss or gradient are not finite: then the step is refused, and nothing changes.
template <typename T>
__device__ void update(const Step& step, const Index* task, Index tile) {
    const Totals totals = totals_of(step, shared_memory<double>());
    if (!isfinite(totals.loss) || !isfinite(totals.norm)) {
        if (tile == 0 && threadIdx.x == 0) atomicMin(&step.call[call::REFUSED], step.number);
        return;
    }
    if (tile == 0) record(step, totals);
    const double longest = step.constant(constant::LONGEST);
    const T clip = totals.norm > longest ? T(longest / totals.norm) : T(1);
    const double* const rates = at<double>(step.call, call::RATES) + 2 * step.number;
    const Index taken = step.call[call::STEP] + step.number + 1, parameters = step.plan[plan::PARAMETERS];
    const Index every = step.plan[plan::FLUSH], every_2 = step.plan[plan::FLUSH_2];
    const bool flush = every && taken % every == 0, flush_2 = every_2 && taken % every_2 == 0;
    const T tiny = T(step.constant(constant::TINY));
    for (Index i = tile * THREADS + threadIdx.x; i < parameters; i += task[task::TILES] * THREADS) {
        update_parameter(step, i, clip, T(rates[0]), T(rates[1]));
        if (flush) at<T>(step.plan, plan::STATE)[i] = without_tiny(at<T>(step.plan, plan::STATE)[i], tiny);
        if (flush_2) at<T>(step.plan, plan::STATE_2)[i] = without_tiny(at<T>(step.plan, plan::STATE_2)[i], tiny);
    }
}

template <typename T>
__device__ void run_tile(const Step& step, const Index* task, Index tile) {
    const bool large = task[task::SIDE] == 64;
    switch (task[task::KIND]) {
        case kind::GATHER: return gather<T>(step, task, tile);
        case kind::DENSE: return large ? dense<T, 64>(step, task, tile) : dense<T, 32>(step, task, tile);
        case kind::LATENT: return latent<T>(step, task, tile);
        case kind::OUTPUT: return large ? output<T, 64>(step, task, tile) : output<T, 32>(step, task, tile);
        case kind::WEIGHT_GRADIENT:
            return large ? weight_gradient<T, 64>(step, task, tile) : weight_gradient<T, 32>(step, task, tile);
        case kind::BIAS_GRADIENT: return bias_gradient<T>(step, task, tile);
        case kind::INPUT_GRADIENT:
            return large ? input_gradient<T, 64>(step, task, tile) : input_gradient<T, 32>(step, task, tile);
        case kind::LATENT_GRADIENT: return latent_gradient<T>(step, task, tile);
        case kind::UPDATE: return update<T>(step, task, tile);
    }
}

// This block's tiles of a phase.
template <typename T>
__device__ void run_phase_of(const Step& step, const Phase& phase) {
    for (Index tile = blockIdx.x; tile < phase.tiles; tile += gridDim.x) {
        Index task = 0, place = tile;
        while (place >= phase.task[task][task::TILES]) place -= phase.task[task][task::TILES], task++;
        run_tile<T>(step, phase.task[task], place);
    }
}

// A phase of the step that is ``offset`` steps after the call's BASE.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2) run_phase(const __grid_constant__ Phase phase, Index offset) {
    const Step step(phase.plan, at<Index>(phase.plan, plan::CALL)[call::BASE] + offset);
    if (step.is_due()) run_phase_of<T>(step, phase);
}

// Between graphs: so many steps are behind. One thread.
template <typename T>
__global__ void advance(Index* call, Index steps) { call[call::BASE] += steps; }
