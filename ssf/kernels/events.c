/* Inference by events: spikes as bits, and one row of weights added for every bit that is set. See spikes.py.
 *
 * Spikes: [images][TIME][positions][words], 64 channels a word; of a sum of several spike trains (the residual stream)
 * the words of all stand one after the other, `width` of them each. Positions: tokens, or the pixels of a map with a
 * border of one, which never fires. An output is computed VECS vectors of channels at a time, over all time steps, with
 * its neuron; no current is written. So a layer's cost is the number of spikes it gets, times its width.
 */
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include "values.h"

#define LANES 16
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
#define EACH_VEC _Pragma("GCC unroll 8") for (long j = 0; j < VECS; j++)

static inline vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint16_t bits_of(ivec mask)
{
#ifdef __AVX512F__
    return _mm512_cmplt_epi32_mask((__m512i)mask, _mm512_setzero_si512());
#else
    uint16_t bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (uint16_t)(mask[i] & 1) << i;
    return bits;
#endif
}

static inline vec floats_of(uint16_t bits)
{
#ifdef __AVX512F__
    return (vec)_mm512_maskz_mov_ps(bits, _mm512_set1_ps(1.0f));
#else
    vec v;
    for (int i = 0; i < LANES; i++) v[i] = bits >> i & 1;
    return v;
#endif
}

/* Append first + i for every bit i that is set to a list, which has room for 64 more than it needs; its new length. */
static inline long listed(uint64_t bits, long first, uint16_t *list, long length)
{
#ifdef __AVX512VBMI2__ /* without a jump: the processor can't foresee where a loop over bits ends */
    static const uint16_t count[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    __m512i low = _mm512_add_epi16(_mm512_loadu_si512(count), _mm512_set1_epi16((short)first));
    __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(32));
    _mm512_storeu_si512(list + length, _mm512_maskz_compress_epi16((uint32_t)bits, low));
    length += __builtin_popcountll(bits & 0xffffffff);
    _mm512_storeu_si512(list + length, _mm512_maskz_compress_epi16((uint32_t)(bits >> 32), high));
    return length + __builtin_popcountll(bits >> 32);
#else
    for (; bits; bits &= bits - 1) list[length++] = (uint16_t)(first + __builtin_ctzll(bits));
    return length;
#endif
}

/* One step of the neuron: the potential v takes the current and fires. */
static inline uint16_t step(vec *v, vec current, float inverse, float threshold)
{
    vec h = *v + (current - *v) * inverse;
    ivec fires = h >= threshold;
    *v = (vec)((ivec)h & ~fires);
    return bits_of(fires);
}

/* Spikes of given currents x [images][own][rows · cols][16 · vecs], own = TIME or 1 (the same in every step). As all
 * functions here, it writes the positions origin + row · stride + col of out [images][TIME][positions][out_words]. */
void fire(const float *x, long own, long vecs, uint16_t *out, long images, long rows, long cols, long origin,
          long stride, long positions, long out_words, float tau, float threshold, int threads)
{
    float inverse = 1.0f / tau;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++)
        for (long n = 0; n < rows * cols; n++)
            for (long j = 0; j < vecs; j++) {
                vec v = {0};
                for (long t = 0; t < TIME; t++) {
                    const float *at = x + (((b * own + (own > 1 ? t : 0)) * rows * cols + n) * vecs + j) * LANES;
                    long p = origin + n / cols * stride + n % cols;
                    out[((b * TIME + t) * positions + p) * out_words * 4 + j] = step(&v, load(at), inverse, threshold);
                }
            }
}

/* Where several neighbours fit a word: the words of each group, joined [groups][positions]. */
static inline void join(const uint64_t *in, uint64_t *joined, long groups, long shared, long positions, long start,
                        long end, const int64_t *offsets)
{
    if (shared == 1) return;
    memset(joined, 0, sizeof(uint64_t) * groups * positions);
    for (long k = 0; k < groups; k++)
        for (long m = 0; m < shared; m++) {
            long offset = offsets[k * shared + m], shift = m * (64 / shared);
            #pragma omp simd
            for (long p = start; p < end; p++) joined[k * positions + p] |= in[p + offset] << shift;
        }
}

/* Spikes of one layer. in: [images][TIME][positions][words]. The neighbours at `offsets` are looked at in groups: where
 * few channels come in, `shared` neighbours fit one word, 64 / shared channels each. weights: [chunks][n + 1][VECS · 16],
 * n = groups · width · 64, the last row zeros; live: [chunks][groups][width], the bits whose row there is not all zero;
 * bias: [TIME][chunks · VECS · 16]. lists: [threads][groups · words · 64 + 64],
 * words_shared: [threads][TIME][groups][positions]. Where currents [images][TIME][rows · cols][chunks · VECS · 16] are
 * asked for, there is no neuron. */
void unit(const uint64_t *in, long words, long width, uint16_t *out, long out_words, long images, long positions,
          long rows, long cols, long origin, long stride, long chunks, long groups, long shared,
          const int64_t *offsets, const float *weights, const uint64_t *live, const float *bias, uint16_t *lists,
          uint64_t *words_shared, float *currents, float tau, float threshold, int threads)
{
    float inverse = 1.0f / tau;
    long zeros = groups * width * 64;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++) {
        uint16_t *list = lists + THREAD * (groups * words * 64 + 64);
        uint64_t *joined = words_shared + THREAD * TIME * groups * positions;
        for (long t = 0; t < TIME; t++)
            join(in + (b * TIME + t) * positions * words, joined + t * groups * positions, groups, shared, positions,
                 origin, origin + (rows - 1) * stride + cols, offsets);
        for (long chunk = 0; chunk < chunks; chunk++) {
            const float *of_chunk = weights + chunk * (zeros + 1) * VECS * LANES;
            for (long n = 0; n < rows * cols; n++) {
                long p = origin + n / cols * stride + n % cols;
                vec v[VECS] = {0};
                for (long t = 0; t < TIME; t++) {
                    const uint64_t *here = in + ((b * TIME + t) * positions + p) * words;
                    long length = 0;
                    for (long k = 0; k < groups; k++) {
                        const uint64_t *word = here + offsets[k * shared] * words;
                        if (shared > 1) word = joined + (t * groups + k) * positions + p;
                        for (long w = 0, at = k * width; w < words; w++) {
                            length = listed(word[w] & live[chunk * groups * width + at], at * 64, list, length);
                            at = at + 1 == (k + 1) * width ? k * width : at + 1;
                        }
                    }
                    while (length % 4) list[length++] = (uint16_t)zeros;
                    vec current[VECS], other[VECS] = {0}; /* two sums: an addition needs not wait for the last one */
                    EACH_VEC current[j] = load(bias + ((t * chunks + chunk) * VECS + j) * LANES);
                    for (long e = 0; e < length; e += 4)
                        _Pragma("GCC unroll 2") for (long i = 0; i < 4; i += 2) {
                            const float *row = of_chunk + list[e + i] * VECS * LANES;
                            const float *next = of_chunk + list[e + i + 1] * VECS * LANES;
                            EACH_VEC current[j] += load(row + j * LANES);
                            EACH_VEC other[j] += load(next + j * LANES);
                        }
                    EACH_VEC current[j] += other[j];
                    if (currents) {
                        float *to = currents + (((b * TIME + t) * rows * cols + n) * chunks + chunk) * VECS * LANES;
                        EACH_VEC memcpy(to + j * LANES, &current[j], sizeof(vec));
                    } else {
                        uint16_t *to = out + ((b * TIME + t) * positions + p) * out_words * 4 + chunk * VECS;
                        EACH_VEC to[j] = step(&v[j], current[j], inverse, threshold);
                    }
                }
            }
        }
    }
}

/* Gradient of a layer's weights, from its input's spikes (one step an image here) and the gradient of its currents
 * [images][rows · cols][chunks · VECS · 16]: a row for every bit. sums: [threads][chunks][n + 1][VECS · 16], zeros. */
void gradient(const uint64_t *in, long words, const float *grad, float *sums, long images, long positions, long rows,
              long cols, long origin, long stride, long chunks, long groups, long shared, const int64_t *offsets,
              uint16_t *lists, uint64_t *words_shared, int threads)
{
    long zeros = groups * words * 64;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++) {
        uint16_t *list = lists + THREAD * (groups * words * 64 + 64);
        uint64_t *joined = words_shared + THREAD * groups * positions;
        join(in + b * positions * words, joined, groups, shared, positions, origin, origin + (rows - 1) * stride + cols,
             offsets);
        for (long chunk = 0; chunk < chunks; chunk++) {
            float *own = sums + (THREAD * chunks + chunk) * (zeros + 1) * VECS * LANES;
            for (long n = 0; n < rows * cols; n++) {
                long p = origin + n / cols * stride + n % cols, length = 0;
                for (long k = 0; k < groups; k++) {
                    const uint64_t *word = in + (b * positions + p + offsets[k * shared]) * words;
                    if (shared > 1) word = joined + k * positions + p;
                    for (long w = 0; w < words; w++) length = listed(word[w], (k * words + w) * 64, list, length);
                }
                vec g[VECS];
                EACH_VEC g[j] = load(grad + (((b * rows * cols + n) * chunks + chunk) * VECS + j) * LANES);
                for (long e = 0; e < length; e++) {
                    float *row = own + list[e] * VECS * LANES;
                    EACH_VEC {
                        vec sum = load(row + j * LANES) + g[j];
                        memcpy(row + j * LANES, &sum, sizeof sum);
                    }
                }
            }
        }
    }
}

/* Spikes [images][rows · cols][channels] of 0 and 1 as bits [images][positions][words]; how many are set, by thread. */
void pack(const float *x, long channels, uint64_t *out, long words, long images, long positions, long rows, long cols,
          long origin, long stride, int64_t *set, int threads)
{
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++) {
        int64_t count = 0;
        for (long n = 0; n < rows * cols; n++) {
            const float *from = x + (b * rows * cols + n) * channels;
            uint64_t *to = out + (b * positions + origin + n / cols * stride + n % cols) * words;
            for (long w = 0; w < words; w++) to[w] = 0;
            for (long c = 0; c < channels; c += LANES) {
                uint16_t bits = 0;
                if (c + LANES <= channels) bits = bits_of(load(from + c) != 0.0f);
                else for (long i = c; i < channels; i++) bits |= (uint16_t)(from[i] != 0.0f) << (i - c);
                to[c / 64] |= (uint64_t)bits << (c % 64);
                count += __builtin_popcount(bits);
            }
        }
        set[THREAD] += count;
    }
}

/* 3×3 maximum with stride 2 of maps in [n][(side + 2)²][words], border included, into maps of half the side. */
void pool(const uint64_t *in, uint64_t *out, long n, long side, long words, int threads)
{
    long half = (side + 1) / 2;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < n; i++)
        for (long y = 0; y < half; y++)
            for (long x = 0; x < half; x++)
                for (long w = 0; w < words; w++) {
                    uint64_t any = 0;
                    for (long dy = 0; dy < 3; dy++)
                        for (long dx = 0; dx < 3; dx++)
                            any |= in[((i * (side + 2) + 2 * y + dy) * (side + 2) + 2 * x + dx) * words + w];
                    out[((i * (half + 2) + y + 1) * (half + 2) + x + 1) * words + w] = any;
                }
}

/* LIF(q (kᵀ v) · scale). in: [images][TIME][tokens][words], the words being `pair_words` of q, as many of k in the
 * same order, then those of v. The pair i belongs to the pieces (16 channels each) first[i] to last[i] of v.
 * work: [threads][pair_words · 64 · deepest + (1 + tokens) · pieces] vectors, deepest: most pieces that a pair has. */
void attention(const uint64_t *in, long words, uint16_t *out, long out_words, long images, long tokens,
               long pair_words, long pieces, const int64_t *first, const int64_t *last, long deepest, vec *work,
               float scale, float tau, float threshold, int threads)
{
    float inverse = 1.0f / tau;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++) {
        vec *kv = work + THREAD * (pair_words * 64 * deepest + (1 + tokens) * pieces);
        vec *current = kv + pair_words * 64 * deepest, *v = current + pieces;
        memset(v, 0, sizeof(vec) * tokens * pieces);
        for (long t = 0; t < TIME; t++) {
            const uint64_t *now = in + (b * TIME + t) * tokens * words;
            memset(kv, 0, sizeof(vec) * pair_words * 64 * deepest);
            for (long n = 0; n < tokens; n++) {
                const uint64_t *token = now + n * words;
                const uint16_t *values = (const uint16_t *)(token + 2 * pair_words);
                for (long w = 0; w < pair_words; w++)
                    for (uint64_t left = token[pair_words + w]; left; left &= left - 1) {
                        long i = w * 64 + __builtin_ctzll(left);
                        for (long j = first[i]; j < last[i]; j++)
                            if (values[j]) kv[i * deepest + j - first[i]] += floats_of(values[j]);
                    }
            }
            for (long n = 0; n < tokens; n++) {
                const uint64_t *token = now + n * words;
                memset(current, 0, sizeof(vec) * pieces);
                for (long w = 0; w < pair_words; w++)
                    for (uint64_t left = token[w]; left; left &= left - 1) {
                        long i = w * 64 + __builtin_ctzll(left);
                        for (long j = first[i]; j < last[i]; j++) current[j] += kv[i * deepest + j - first[i]];
                    }
                uint16_t *to = out + ((b * TIME + t) * tokens + n) * out_words * 4;
                for (long j = 0; j < pieces; j++)
                    to[j] = step(&v[n * pieces + j], current[j] * scale, inverse, threshold);
            }
        }
    }
}

/* Sums of the spike trains: counts [n][width · 64] of words [n][words]. */
void counts(const uint64_t *in, long words, long width, float *out, long n, int threads)
{
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < n; i++) {
        float *to = out + i * width * 64;
        memset(to, 0, sizeof(float) * width * 64);
        for (long w = 0; w < words; w++)
            for (uint64_t left = in[i * words + w]; left; left &= left - 1)
                to[w % width * 64 + __builtin_ctzll(left)] += 1.0f;
    }
}
