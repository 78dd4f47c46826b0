// Random numbers by counter: the words of npvae/mathematics/random.py on the device.
//
//     ten times:   hi0, lo0 = M0 c0;   hi1, lo1 = M1 c2               128-bit products
//                  c = (hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0)
//                  k = (k0 + W0, k1 + W1)
//
//     counter (block, step, 0, 0) and key (seed, purpose) give the words 4 (block - 1), ..., 4 block - 1 of a stream
//     uniform     u = k / 2^24 from the upper 24 bits of a word
//     normal      z0 = r cos(2 pi u2),  z1 = r sin(2 pi u2),  r = sqrt(-2 log(1 - u1)), from the upper 53 bits, in float64
//
// Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3"; Box & Muller (1958).

#include "device.cu"

typedef unsigned long long Word;

__device__ inline void philox(Word seed, Word purpose, Word step, Word block, Word (&c)[4]) {
    Word k0 = seed, k1 = purpose;
    c[0] = block, c[1] = step, c[2] = 0, c[3] = 0;
    for (int round = 0; round < 10; round++) {
        const Word hi0 = __umul64hi(0xD2E7470EE14C6C93ull, c[0]), lo0 = 0xD2E7470EE14C6C93ull * c[0];
        const Word hi1 = __umul64hi(0xCA5A826395121157ull, c[2]), lo1 = 0xCA5A826395121157ull * c[2];
        c[0] = hi1 ^ c[1] ^ k0, c[1] = lo1, c[2] = hi0 ^ c[3] ^ k1, c[3] = lo0;
        k0 += 0x9E3779B97F4A7C15ull, k1 += 0xBB67AE8584CAA73Bull;
    }
}

// Element number ``index`` of a stream of normal numbers. Words 2p and 2p + 1 make the pair p of elements.
__device__ inline double normal_number(Word seed, Word purpose, Word step, Word index) {
    Word c[4];
    philox(seed, purpose, step, index / 4 + 1, c);
    const int second_pair = index % 4 >= 2;
    const double u1 = (second_pair ? c[2] : c[0]) / 2048 * (1.0 / 9007199254740992.0);
    const double u2 = (second_pair ? c[3] : c[1]) / 2048 * (1.0 / 9007199254740992.0);
    double sine, cosine;
    sincospi(2.0 * u2, &sine, &cosine);
    return sqrt(-2.0 * log1p(-u1)) * (index % 2 ? sine : cosine);
}

// x = 1 with probability x, else 0, by the word of a stream.
template <typename T>
__device__ inline T draw_bernoulli(T x, Word word) {
    return T(word >> 40) * T(1.0 / 16777216.0) < x ? T(1) : T(0);
}

template <typename T>
__global__ void normal_numbers(T* out, Index n, Index seed, Index purpose, Index step) {
    for (Index i = first_index(); i < n; i += all_threads()) out[i] = T(normal_number(seed, purpose, step, i));
}

// In place.
template <typename T>
__global__ void bernoulli_numbers(T* x, Index n, Index seed, Index purpose, Index step) {
    for (Index i = first_index(); i < n; i += all_threads()) {
        Word c[4];
        philox(seed, purpose, step, i / 4 + 1, c);
        x[i] = draw_bernoulli(x[i], c[i % 4]);
    }
}
