/* Inference by events: spikes as bits, and one row of weights added for every bit that is set. See deploy.py.
 *
 * Spikes: [images][TIME][positions][words], 64 channels a word; of a sum of several spike trains (the residual stream)
 * the words of all stand one after the other, `width` of them each. Positions: tokens, or the pixels of a map with a
 * border of one, which never fires. An output is computed VECS vectors of channels at a time, over all time steps, with
 * its neuron; no current is written. So a layer's cost is the number of spikes it gets, times its width.
 */
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define THREAD omp_get_thread_num()
#else
#define THREAD 0
#endif
#ifdef __AVX512F__
#include <immintrin.h>
#endif

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

/* Spikes of one layer. in: [images][TIME][positions][words]. The neighbours at `offsets` are looked at in groups: where
 * few channels come in, `shared` neighbours fit one word, 64 / shared channels each (a loop over bits ends in a jump that
 * no processor foresees, so the fewer the better). weights: [chunks][groups][width · 64][VECS · 16], live:
 * [chunks][groups][width], the bits whose row there is not all zero; bias: [TIME][chunks · VECS · 16]. */
void unit(const uint64_t *in, long words, long width, uint16_t *out, long out_words, long images, long positions,
          long rows, long cols, long origin, long stride, long chunks, long groups, long shared,
          const int64_t *offsets, const float *weights, const uint64_t *live, const float *bias, float tau,
          float threshold, int threads)
{
    float inverse = 1.0f / tau;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long b = 0; b < images; b++)
        for (long chunk = 0; chunk < chunks; chunk++)
            for (long n = 0; n < rows * cols; n++) {
                long p = origin + n / cols * stride + n % cols;
                vec v[VECS] = {0};
                for (long t = 0; t < TIME; t++) {
                    const uint64_t *here = in + ((b * TIME + t) * positions + p) * words;
                    vec current[VECS];
                    EACH_VEC current[j] = load(bias + ((t * chunks + chunk) * VECS + j) * LANES);
                    for (long k = 0; k < groups; k++) {
                        const int64_t *offset = offsets + k * shared;
                        const uint64_t *some = live + (chunk * groups + k) * width;
                        const float *of_group = weights + (chunk * groups + k) * width * 64 * VECS * LANES;
                        for (long w = 0, at = 0; w < words; w++) {
                            uint64_t left = here[offset[0] * words + w];
                            for (long m = 1; m < shared; m++) left |= here[offset[m] * words + w] << m * (64 / shared);
                            const float *of_word = of_group + at * 64 * VECS * LANES;
                            for (left &= some[at]; left; left &= left - 1) {
                                const float *row = of_word + __builtin_ctzll(left) * VECS * LANES;
                                EACH_VEC current[j] += load(row + j * LANES);
                            }
                            at = at + 1 == width ? 0 : at + 1;
                        }
                    }
                    uint16_t *to = out + ((b * TIME + t) * positions + p) * out_words * 4 + chunk * VECS;
                    EACH_VEC to[j] = step(&v[j], current[j], inverse, threshold);
                }
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
