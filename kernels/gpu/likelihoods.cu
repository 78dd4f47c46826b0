// The likelihoods: -log p(x|z) by row, and its elementwise derivatives: npvae/likelihoods/ on the device.
//
//     bernoulli        nll = sum_i max(l, 0) - x l + log1p(exp(-|l|))               dl = sigmoid(l) - x
//     squared error    sse = sum_i (m - x)^2                                        difference = m - x
//     gaussian         nll = 1/2 sum_i (m - x)^2 exp(-logvar) + logvar + log(2 pi)
//                      dm = (m - x) exp(-logvar),   dlogvar = (1 - (m - x)^2 exp(-logvar)) / 2
//
// One block a row, row after row: coalesced reads, and a sum in a fixed order.

#include "device.cu"

#define LOG_TWO_PI 1.8378770664093454836

template <typename T>
__device__ inline T bernoulli_term(T l, T x) {
    return ((l < T(0) ? T(0) : l) - x * l) + log1p(exp(-fabs(l)));
}

template <typename T>
__device__ inline T bernoulli_residual(T l, T x) {
    // exp only sees numbers <= 0: exact in both tails
    const T t = exp(-fabs(l));
    return (l < T(0) ? t : T(1)) / (T(1) + t) - x;
}

template <typename T>
__global__ void bernoulli_nll(const T* logits, const T* x, T* nll, T* residual, Index rows, Index columns) {
    for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
        T sum = T(0);
        for (Index i = row * columns + threadIdx.x; i < (row + 1) * columns; i += blockDim.x) {
            sum += bernoulli_term(logits[i], x[i]);
            if (residual) residual[i] = bernoulli_residual(logits[i], x[i]);
        }
        sum = block_sum(sum, shared_memory<T>());
        if (threadIdx.x == 0) nll[row] = sum;
    }
}

template <typename T>
__global__ void squared_error(const T* mean, const T* x, T* sse, T* difference, Index rows, Index columns) {
    for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
        T sum = T(0);
        for (Index i = row * columns + threadIdx.x; i < (row + 1) * columns; i += blockDim.x) {
            const T d = mean[i] - x[i];
            difference[i] = d;
            sum += d * d;
        }
        sum = block_sum(sum, shared_memory<T>());
        if (threadIdx.x == 0) sse[row] = sum;
    }
}

// d_mean and d_logvar are both null where no gradient is wanted.
template <typename T>
__global__ void gaussian_nll(
    const T* mean, const T* logvar, const T* x, T* nll, T* d_mean, T* d_logvar, Index rows, Index columns
) {
    for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
        T sum = T(0);
        for (Index i = row * columns + threadIdx.x; i < (row + 1) * columns; i += blockDim.x) {
            const T inverse_deviation = exp(T(-0.5) * logvar[i]);
            // Scaled before it is squared: the square alone could leave the dtype where the ratio does not.
            const T scaled = (mean[i] - x[i]) * inverse_deviation;
            sum += scaled * scaled + (logvar[i] + T(LOG_TWO_PI));
            if (d_mean) {
                d_mean[i] = scaled * inverse_deviation;
                d_logvar[i] = T(0.5) * (T(1) - scaled * scaled);
            }
        }
        sum = block_sum(sum, shared_memory<T>());
        if (threadIdx.x == 0) nll[row] = T(0.5) * sum;
    }
}
