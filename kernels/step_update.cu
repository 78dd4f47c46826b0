// The last task of a step: whether it is taken, what is written down about it, and the optimiser's rule.

#include "optimizers.cu"
#include "step_records.cu"

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
