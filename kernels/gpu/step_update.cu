// The last task of a step: whether it is taken, what is written down about it, and the optimiser's rule.

#include "optimizers.cu"
#include "step_records.cu"

// A step's totals: what decides whether it is taken.
struct Totals {
    double nll, kl, loss, norm;
};

// A thread's part of the sum of some numbers.
__device__ inline double part_of_sum(const double* numbers, Index count) {
    double sum = 0.0;
    for (Index i = threadIdx.x; i < count; i += THREADS) sum += numbers[i];
    return sum;
}

// Every block adds the partial sums up itself, all in the same order.
__device__ inline Totals totals_of(const Step& step, double* shared) {
    const Index* const plan = step.plan;
    const Index latent = plan[plan::LATENT], parts = plan[plan::LATENT_PARTS];
    double sums[3] = {
        part_of_sum(at<double>(plan, plan::NLL_PARTIAL), plan[plan::NLL_PARTS]),
        part_of_sum(at<double>(plan, plan::NORM_PARTIAL), plan[plan::NORM_PARTS]), 0.0
    };
    // KL is the first of three sums that a row of tiles has for each latent dimension.
    for (Index i = threadIdx.x; i < parts * latent; i += THREADS)
        sums[2] += at<double>(plan, plan::LATENT_PARTIAL)[i / latent * 3 * latent + i % latent];
    block_sums(sums, shared);
    Totals totals;
    totals.nll = step.constant(constant::LIKELIHOOD_FACTOR) * sums[0]
        + double(step.rows) * step.constant(constant::LIKELIHOOD_CONSTANT);
    totals.norm = sqrt(sums[1]);
    totals.kl = sums[2];
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

// The optimiser's rule with this step's numbers.
template <typename T>
struct Rule {
    Index kind;
    T rate, root_scale, rho, rho_share, beta_1, share_1, beta_2, share_2, momentum_factor, epsilon, tiny;
    bool flush, flush_2;  // whether the states are flushed after this step

    __device__ explicit Rule(const Step& step) : kind(step.plan[plan::OPTIMIZER]) {
        const double* const rates = at<double>(step.call, call::RATES) + 2 * step.number;
        const double rho_ = step.constant(constant::RHO), beta_1_ = step.constant(constant::BETA_1),
                     beta_2_ = step.constant(constant::BETA_2);
        const Index taken = step.call[call::STEP] + step.number + 1;
        rate = T(rates[0]), root_scale = T(rates[1]);
        rho = T(rho_), rho_share = T(1.0 - rho_);
        beta_1 = T(beta_1_), share_1 = T(1.0 - beta_1_), beta_2 = T(beta_2_), share_2 = T(1.0 - beta_2_);
        momentum_factor = T(step.constant(constant::MOMENTUM));
        epsilon = T(step.constant(constant::EPSILON)), tiny = T(step.constant(constant::TINY));
        flush = step.plan[plan::FLUSH] && taken % step.plan[plan::FLUSH] == 0;
        flush_2 = step.plan[plan::FLUSH_2] && taken % step.plan[plan::FLUSH_2] == 0;
    }

    // Change a parameter and its states by the gradient g.
    __device__ void apply(T& theta, T g, T& state, T& state_2) const {
        switch (kind) {
            case optimizer::RMSPROP_INSIDE: rmsprop_inside(theta, g, state, rate, rho, rho_share, epsilon); break;
            case optimizer::RMSPROP_OUTSIDE: rmsprop_outside(theta, g, state, rate, rho, rho_share, epsilon); break;
            case optimizer::ADAM:
                adam(theta, g, state, state_2, rate, beta_1, share_1, beta_2, share_2, epsilon, root_scale);
                break;
            case optimizer::MOMENTUM: momentum(theta, g, state, rate, momentum_factor); break;
            case optimizer::SGD: theta -= rate * g; break;
            default: theta = not_a_number<T>();
        }
        if (flush) state = without_tiny(state, tiny);
        if (flush_2) state_2 = without_tiny(state_2, tiny);
    }
};

// A thread's parameters, some at a time: all of what they need is asked for before any of it is used.
template <typename T>
struct Parameters {
    static const int COUNT = 4;
    T *const theta, *const state, *const state_2;
    const T* const gradient;
    const Index count, stride;
    T theta_[COUNT], g_[COUNT], state_[COUNT], state_2_[COUNT];

    __device__ Parameters(const Step& step, Index stride)
        : theta(at<T>(step.plan, plan::THETA)), state(at<T>(step.plan, plan::STATE)),
          state_2(at<T>(step.plan, plan::STATE_2)), gradient(at<T>(step.plan, plan::GRADIENT)),
          count(step.plan[plan::PARAMETERS]), stride(stride) {}

    // Parameters i, i + stride, ...
    __device__ void take(Index i) {
        FOR_ALL(j, COUNT) {
            const bool has = i + j * stride < count;
            theta_[j] = has ? theta[i + j * stride] : T(0);
            g_[j] = has ? gradient[i + j * stride] : T(0);
            state_[j] = has && state ? state[i + j * stride] : T(0);
            state_2_[j] = has && state_2 ? state_2[i + j * stride] : T(0);
        }
    }

    __device__ void change(Index i, const Rule<T>& rule, T clip) {
        FOR_ALL(j, COUNT) {
            if (i + j * stride >= count) continue;
            rule.apply(theta_[j], g_[j] * clip, state_[j], state_2_[j]);
            theta[i + j * stride] = theta_[j];
            if (state) state[i + j * stride] = state_[j];
            if (state_2) state_2[i + j * stride] = state_2_[j];
        }
    }
};

// The optimiser's step, unless loss or gradient are not finite: then the step is refused, and nothing changes.
template <typename T>
__device__ void update(const Step& step, const Index* task, Index tile) {
    const Index first = tile * THREADS + threadIdx.x;
    Parameters<T> parameters(step, task[task::TILES] * THREADS);
    parameters.take(first);  // on their way while the totals are made
    const Rule<T> rule(step);
    const double longest = step.constant(constant::LONGEST);
    const Totals totals = totals_of(step, shared_memory<double>());
    if (!isfinite(totals.loss) || !isfinite(totals.norm)) {
        if (tile == 0 && threadIdx.x == 0) atomicMin(&step.call[call::REFUSED], step.number);
        return;
    }
    if (tile == 0) record(step, totals);
    const T clip = totals.norm > longest ? T(longest / totals.norm) : T(1);
    for (Index i = first; i < parameters.count; i += Parameters<T>::COUNT * parameters.stride) {
        if (i != first) parameters.take(i);
        parameters.change(i, rule, clip);
    }
}
