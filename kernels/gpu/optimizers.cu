// The optimisers' rules on one parameter: npvae/mathematics/optimizers.py on the device. Constants are of the dtype, computed by the
// caller in float64.
//
//     rmsprop    v = rho v + (1 - rho) (g^2 + epsilon);   theta -= lr g / sqrt(v)                  epsilon inside
//                v = rho v + (1 - rho) g^2;               theta -= lr g / (sqrt(v) + epsilon)      epsilon outside
//     adam       m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
//                theta -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//     sgd        theta -= lr g
//     momentum   u = momentum u + g;   theta -= lr u

#include "device.cu"

template <typename T>
__device__ inline void rmsprop_inside(T& theta, T g, T& v, T rate, T rho, T share, T epsilon) {
    v = rho * v + share * (g * g + epsilon);
    theta -= rate * (g / sqrt(v));
}

template <typename T>
__device__ inline void rmsprop_outside(T& theta, T g, T& v, T rate, T rho, T share, T epsilon) {
    v = rho * v + share * (g * g);
    theta -= rate * (g / (sqrt(v) + epsilon));
}

// rate is lr / (1 - beta1^t), root_scale 1 / sqrt(1 - beta2^t).
template <typename T>
__device__ inline void adam(
    T& theta, T g, T& m, T& v, T rate, T beta1, T share1, T beta2, T share2, T epsilon, T root_scale
) {
    m = beta1 * m + share1 * g;
    v = beta2 * v + share2 * (g * g);
    theta -= rate * (m / (sqrt(v) * root_scale + epsilon));
}

template <typename T>
__device__ inline void momentum(T& theta, T g, T& velocity, T rate, T factor) {
    velocity = factor * velocity + g;
    theta -= rate * velocity;
}

template <typename T>
__device__ inline T without_tiny(T value, T tiny) { return fabs(value) < tiny ? T(0) : value; }

// Each reads theta, gradient and states, and writes all but the gradient.

template <typename T>
__global__ void rmsprop_inside_step(
    T* theta, const T* gradient, T* v, Index n, T rate, T rho, T share, T epsilon
) {
    for (Index i = first_index(); i < n; i += all_threads())
        rmsprop_inside(theta[i], gradient[i], v[i], rate, rho, share, epsilon);
}

template <typename T>
__global__ void rmsprop_outside_step(
    T* theta, const T* gradient, T* v, Index n, T rate, T rho, T share, T epsilon
) {
    for (Index i = first_index(); i < n; i += all_threads())
        rmsprop_outside(theta[i], gradient[i], v[i], rate, rho, share, epsilon);
}

template <typename T>
__global__ void adam_step(
    T* theta, const T* gradient, T* m, T* v, Index n, T rate, T beta1, T share1, T beta2, T share2, T epsilon,
    T root_scale
) {
    for (Index i = first_index(); i < n; i += all_threads())
        adam(theta[i], gradient[i], m[i], v[i], rate, beta1, share1, beta2, share2, epsilon, root_scale);
}

template <typename T>
__global__ void sgd_step(T* theta, const T* gradient, Index n, T rate) {
    for (Index i = first_index(); i < n; i += all_threads()) theta[i] -= rate * gradient[i];
}

template <typename T>
__global__ void momentum_step(T* theta, const T* gradient, T* velocity, Index n, T rate, T factor) {
    for (Index i = first_index(); i < n; i += all_threads())
        momentum(theta[i], gradient[i], velocity[i], rate, factor);
}

template <typename T>
__global__ void flush_tiny(T* x, Index n, T tiny) {
    for (Index i = first_index(); i < n; i += all_threads()) x[i] = without_tiny(x[i], tiny);
}
