/* BatchNorm's affine map and leaky integrate-and-fire over TIME steps: one pass over memory forward, one (two where a
 * BatchNorm is trained) backward. See neurons.py. Compiled for each TIME, so that potentials stay in registers.
 *
 * x, g, s: [TIME][n]; the time steps of x and g are x_stride and g_stride values apart, the rest is dense. A stride of 0
 * means the same current in every step; its gradient is then the sum over the steps. The n values of a step are rows of
 * channels; scale, shift and so on have one value a channel, repeated up to a length of `block`, a multiple of their
 * number, which is also the piece that a thread works on.
 * The potential is computed again in the backward pass: that is cheaper than writing and reading it.
 * With HALF, currents, spikes and their gradients lie in memory as bfloat16; everything is computed in float all the same.
 * No -ffast-math: charge rounds as torch does, so a potential at the threshold fires in both or in neither.
 */
#include <math.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include "values.h"

#ifdef FP_FAST_FMAF
#define MADD(a, b, c) fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

static inline float exp_fast(float x) /* relative error below 2e-7 on [-43, 43]; vectorises, unlike expf */
{
    x = x < -43.0f ? -43.0f : x; /* beyond, its square would not be a number, and the surrogate's gradient is 0 */
    x = x > 43.0f ? 43.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* to the nearest whole number */
    float r = MADD(n, 2.12194440e-4f, MADD(n, -0.693359375f, x));
    float p = MADD(r, 0.00138888889f, 0.00833333333f);
    p = MADD(p, r, 0.0416666667f);
    p = MADD(p, r, 0.166666667f);
    p = MADD(p, r, 0.5f);
    p = MADD(p, r, 1.0f);
    p = MADD(p, r, 1.0f);
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static inline void flush(float *partial, double *total, long m) /* long sums are kept in double */
{
    #pragma omp simd
    for (long i = 0; i < m; i++) { total[i] += partial[i]; partial[i] = 0.0f; }
}

/* Copy a piece past the caches: memory that is only written need not be read first. For tensors no cache would hold. */
static inline void stream(value *to, const value *from, long m)
{
#ifdef __AVX512F__
    long lanes = 64 / sizeof(value);
    if (((uintptr_t)to & 63) == 0 && m % lanes == 0) {
        for (long i = 0; i < m; i += lanes) _mm512_stream_si512((void *)(to + i), _mm512_loadu_si512(from + i));
        return;
    }
#endif
    memcpy(to, from, sizeof(value) * m);
}

#define LARGE (1L << 21) /* values of a tensor that is streamed */
#define STEPS _Pragma("GCC unroll 16") for (long t = 0; t < TIME; t++)
#define STEPS_BACK _Pragma("GCC unroll 16") for (long t = TIME - 1; t >= 0; t--)
#define FLUSHED_EVERY 64

/* v + (x - v) / tau, rounded as torch's division; where 1 / tau is exact (tau a power of 2) a product is the same, faster */
#define CHARGE(v, x) ((v) + (exact ? ((x) - (v)) * inverse : ((x) - (v)) / tau))

static int exact_inverse(float tau)
{
    uint32_t bits;
    memcpy(&bits, &tau, sizeof bits);
    return (bits & 0x7fffff) == 0;
}

/* Sums over rows of x - origin and its square: sums [threads][2][block], zeros at first. work: [threads][2][block]. */
void moments(const value *x, long x_stride, long n, const float *origin, long block, float *work, double *sums,
             int threads)
{
    #pragma omp parallel num_threads(threads)
    {
        float *first = work + THREAD * 2 * block, *second = first + block;
        double *total = sums + THREAD * 2 * block;
        memset(first, 0, sizeof(float) * 2 * block);
        long done = 0;
        for (long t = 0; t < (x_stride ? TIME : 1); t++) {
            #pragma omp for schedule(static) nowait
            for (long start = 0; start < n; start += block) {
                long m = n - start < block ? n - start : block;
                const value *xt = x + t * x_stride + start;
                #pragma omp simd
                for (long i = 0; i < m; i++) {
                    float d = get(xt[i]) - origin[i];
                    first[i] += d;
                    second[i] += d * d;
                }
                if (++done % FLUSHED_EVERY == 0) flush(first, total, 2 * block);
            }
        }
        flush(first, total, 2 * block);
    }
}

static inline __attribute__((always_inline)) void forward_piece(
    const value *x, long x_stride, value *s, long s_stride, long m, const float *scale, const float *shift,
    float tau, float threshold, int exact)
{
    float inverse = 1.0f / tau;
    #pragma omp simd
    for (long i = 0; i < m; i++) {
        float v = 0.0f;
        STEPS {
            float h = CHARGE(v, scale[i] * get(x[t * x_stride + i]) + shift[i]);
            s[t * s_stride + i] = put(h >= threshold ? 1.0f : 0.0f);
            v = h >= threshold ? 0.0f : h;
        }
    }
}

/* Spikes s of the currents scale * x + shift. work: [threads][TIME][block]. */
void lif_forward(const value *x, long x_stride, value *s, long n, const float *scale, const float *shift, long block,
                 value *work, float tau, float threshold, int threads)
{
    int exact = exact_inverse(tau);
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long start = 0; start < n; start += block) {
        long m = n - start < block ? n - start : block;
        int past = n * TIME > LARGE;
        value *to = past ? work + THREAD * TIME * block : s + start;
        long to_stride = past ? block : n;
        if (exact) forward_piece(x + start, x_stride, to, to_stride, m, scale, shift, tau, threshold, 1);
        else forward_piece(x + start, x_stride, to, to_stride, m, scale, shift, tau, threshold, 0);
        if (past) STEPS stream(s + t * n + start, to + t * block, m);
    }
}

static inline __attribute__((always_inline)) void backward_piece(
    const value *x, long x_stride, const value *g, long g_stride, value *out, long out_stride, long m,
    const float *scale, const float *shift, const float *mean, float *first, float *second, float tau,
    float threshold, float alpha, int exact, int repeated)
{
    float inverse = 1.0f / tau, keep = 1.0f - inverse;
    #pragma omp simd
    for (long i = 0; i < m; i++) {
        float h[TIME], v = 0.0f, later = 0.0f, sum = 0.0f, product = 0.0f;
        STEPS {
            h[t] = CHARGE(v, scale[i] * get(x[t * x_stride + i]) + shift[i]);
            v = h[t] >= threshold ? 0.0f : h[t];
        }
        STEPS_BACK {
            float e = exp_fast(alpha * (threshold - h[t]));
            float surrogate = alpha * e / ((1.0f + e) * (1.0f + e));
            float to_h = MADD(get(g[t * g_stride + i]), surrogate, h[t] >= threshold ? 0.0f : later);
            float to_x = to_h * inverse;
            later = to_h * keep;
            sum += to_x;
            product = MADD(to_x, get(x[t * x_stride + i]) - mean[i], product);
            if (!repeated) out[t * out_stride + i] = put(to_x);
        }
        if (repeated) out[i] = put(sum);
        if (first) {
            first[i] += sum;
            second[i] += product;
        }
    }
}

/* Gradient of the currents scale * x + shift: out [TIME][n], or [n] where x_stride is 0. Its sums over rows, alone and
 * times x - mean, unless sums is null: [threads][2][block], zeros at first. work: [threads][2 + TIME][block]. */
void lif_backward(const value *x, long x_stride, const value *g, long g_stride, value *out, long n,
                  const float *scale, const float *shift, const float *mean, long block, float *work, double *sums,
                  float tau, float threshold, float alpha, int threads)
{
    #define PIECE(FIRST, EXACT, REPEATED) backward_piece(x + start, x_stride, g + start, g_stride, to, to_stride, m, \
        scale, shift, mean, FIRST, second, tau, threshold, alpha, EXACT, REPEATED)
    int exact = exact_inverse(tau);
    #pragma omp parallel num_threads(threads)
    {
        float *first = work + THREAD * (2 + TIME) * block, *second = first + block;
        double *total = sums + THREAD * 2 * block;
        memset(first, 0, sizeof(float) * 2 * block);
        int past = !sums && x_stride && n * TIME > LARGE; /* with sums, it is about to be read again */
        long done = 0, to_stride = past ? block : n;
        #pragma omp for schedule(static)
        for (long start = 0; start < n; start += block) {
            long m = n - start < block ? n - start : block;
            value *to = past ? (value *)(second + block) : out + start;
            if (x_stride == 0) PIECE(first, 0, 1);
            else if (!exact) PIECE(first, 0, 0);
            else if (sums) PIECE(first, 1, 0);
            else PIECE(0, 1, 0);
            if (past) STEPS stream(out + t * n + start, to + t * block, m);
            if (sums && ++done % (FLUSHED_EVERY / TIME + 1) == 0) flush(first, total, 2 * block);
        }
        if (sums) flush(first, total, 2 * block);
    }
}

/* What a trained BatchNorm makes of it, in place: out = a * out + b * x + c. */
void norm_backward(value *out, const value *x, long x_stride, long n, const float *a, const float *b, const float *c,
                   long block, int threads)
{
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long start = 0; start < n; start += block) {
        long m = n - start < block ? n - start : block;
        for (long t = 0; t < (x_stride ? TIME : 1); t++) {
            const value *xt = x + t * x_stride + start;
            value *ot = out + t * n + start;
            #pragma omp simd
            for (long i = 0; i < m; i++) ot[i] = put(a[i] * get(ot[i]) + b[i] * get(xt[i]) + c[i]);
        }
    }
}
