// The latent space: sample z ~ N(mu, exp(logvar)) and the KL divergence from the prior, forward and backward:
// npvae/mathematics/layers/sampling.py and npvae/mathematics/layers/kl.py on the device.
//
//     z       = mu + s eps                                 s = exp(logvar / 2)
//     dlogvar = dz eps s / 2                               dmu = dz
//     kl      = (mu^2 + exp(logvar) - 1 - logvar) / 2
//     dmu     = dkl mu
//     dlogvar = dkl (exp(logvar) - 1) / 2

#include "device.cu"

template <typename T>
__device__ inline T sample_of(T mu, T logvar, T eps) { return mu + exp(T(0.5) * logvar) * eps; }

template <typename T>
__device__ inline T sample_by_logvar(T dz, T logvar, T eps) { return dz * eps * (T(0.5) * exp(T(0.5) * logvar)); }

template <typename T>
__device__ inline T kl_of(T mu, T logvar) { return T(0.5) * (mu * mu + (expm1(logvar) - logvar)); }

template <typename T>
__device__ inline T kl_by_logvar(T dkl, T logvar) { return dkl * (T(0.5) * expm1(logvar)); }

// Reads 3n, writes n elements.
template <typename T>
__global__ void sample_forward(const T* mu, const T* logvar, const T* eps, T* z, Index n) {
    for (Index i = first_index(); i < n; i += all_threads()) z[i] = sample_of(mu[i], logvar[i], eps[i]);
}

// Reads 3n, writes n elements.
template <typename T>
__global__ void sample_backward(const T* dz, const T* logvar, const T* eps, T* dlogvar, Index n) {
    for (Index i = first_index(); i < n; i += all_threads()) dlogvar[i] = sample_by_logvar(dz[i], logvar[i], eps[i]);
}

// Reads 2n, writes n elements.
template <typename T>
__global__ void kl_forward(const T* mu, const T* logvar, T* kl, Index n) {
    for (Index i = first_index(); i < n; i += all_threads()) kl[i] = kl_of(mu[i], logvar[i]);
}

// Reads 3n, writes 2n elements.
template <typename T>
__global__ void kl_backward(const T* dkl, const T* mu, const T* logvar, T* dmu, T* dlogvar, Index n) {
    for (Index i = first_index(); i < n; i += all_threads()) {
        dmu[i] = dkl[i] * mu[i];
        dlogvar[i] = kl_by_logvar(dkl[i], logvar[i]);
    }
}

// The same for one number dkl: reads 2n, writes 2n elements.
template <typename T>
__global__ void kl_backward_of_number(const T* mu, const T* logvar, T* dmu, T* dlogvar, Index n, T dkl) {
    for (Index i = first_index(); i < n; i += all_threads()) {
        dmu[i] = dkl * mu[i];
        dlogvar[i] = kl_by_logvar(dkl, logvar[i]);
    }
}
