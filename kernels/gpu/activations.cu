// Elementwise activations y = f(a), and dL/da from dL/dy and the output y: npvae/mathematics/layers/activations.py on the device.
//
//     name       f(a)                              f'(a) written in y
//     identity   a                                 1
//     relu       max(a, 0)                         1 if y > 0 else 0
//     tanh       tanh(a)                           1 - y^2
//     softplus   max(a, 0) + log1p(exp(-|a|))      1 - exp(-y)

#include "device.cu"

template <typename T>
__device__ inline T activate(Index kind, T a) {
    switch (kind) {
        case activation::RELU: return a < T(0) ? T(0) : a;  // not max, which would hide NaN
        case activation::TANH: return tanh(a);
        case activation::SOFTPLUS: return (a < T(0) ? T(0) : a) + log1p(exp(-fabs(a)));
        case activation::IDENTITY: return a;
        default: return not_a_number<T>();
    }
}

template <typename T>
__device__ inline T activate_backward(Index kind, T dy, T y) {
    switch (kind) {
        case activation::RELU: return y > T(0) ? dy : T(0);
        case activation::TANH: return dy * (T(1) - y * y);
        case activation::SOFTPLUS: return dy * -expm1(-y);
        case activation::IDENTITY: return dy;
        default: return not_a_number<T>();
    }
}

// a = f(a + b), in place, for a (rows, columns), b (columns,): reads and writes n = rows columns elements.
template <typename T>
__global__ void add_bias_and_activate(T* a, const T* b, Index n, Index columns, Index kind) {
    for (Index i = first_index(); i < n; i += all_threads()) a[i] = activate(kind, a[i] + b[i % columns]);
}

// da = dy f'(a): reads 2n, writes n elements.
template <typename T>
__global__ void activation_backward(const T* dy, const T* y, T* da, Index n, Index kind) {
    for (Index i = first_index(); i < n; i += all_threads()) da[i] = activate_backward(kind, dy[i], y[i]);
}
