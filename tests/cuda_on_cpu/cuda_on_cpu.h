// CUDA's language on a CPU, as far as the kernels use it, so that the very same sources run and are checked without a
// GPU. It is no GPU: blocks run one after the other, and warps, caches and speed do not exist.
//
// blocks.cpp has the threads. Each is a fiber, so a block of 256 costs no more than 256 stacks; it runs until it meets a
// barrier. Sanitizers are told of every switch: the thread sanitizer sees 256 threads that only barriers order, and so
// reports every race within a block and between blocks.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)

using std::exp, std::expm1, std::fabs, std::isfinite, std::log1p, std::nan, std::sqrt, std::tanh;

struct Dimension {
    unsigned x;
};
extern thread_local Dimension threadIdx, blockIdx, blockDim, gridDim;

double* memory_of_block();
void meet_block(const char* file, int line);
void pass_turn();

#define SHARED_MEMORY(name) double* const name = memory_of_block()
#define __syncthreads() meet_block(__FILE__, __LINE__)
#define __nanosleep(nanoseconds) pass_turn()

inline void __threadfence() {}  // every atomic operation below orders all memory

inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long value) {
    return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}

inline long long atomicMin(long long* p, long long value) {
    long long old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
    while (value < old && !__atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return old;
}

inline long long __ldcg(const long long* p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

inline void sincospi(double x, double* sine, double* cosine) {
    const long double angle = x * 3.14159265358979323846264338327950288L;
    *sine = (double)std::sin(angle), *cosine = (double)std::cos(angle);
}

// Call a kernel with arguments by address, as a driver does.
template <typename... A, std::size_t... I>
void run_kernel_with(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}
template <typename... A>
void run_kernel(void (*kernel)(A...), void** arguments) {
    run_kernel_with(kernel, arguments, std::index_sequence_for<A...>());
}

// What a kernel's arguments are, a letter each: r, w an array of the kernel's dtype that is read, written; R, W of whole
// numbers; i a whole number; t a number of the dtype; s a record.
template <typename T, typename A>
constexpr char letter() {
    if constexpr (std::is_pointer_v<A>) {
        typedef std::remove_pointer_t<A> E;
        if constexpr (std::is_same_v<std::remove_const_t<E>, T>) return std::is_const_v<E> ? 'r' : 'w';
        return std::is_const_v<E> ? 'R' : 'W';
    }
    if constexpr (std::is_same_v<A, long long>) return 'i';
    if constexpr (std::is_same_v<A, T>) return 't';
    return 's';
}
template <typename T, typename... A>
const char* signature(void (*)(A...)) {
    static const char letters[] = {letter<T, A>()..., 0};
    return letters;
}
