/* Leaky integrate-and-fire over time, forward and backward, each one pass over memory (see neurons.py).
 *
 * x, g: [time][n], time steps x_stride, g_stride floats apart (0: the same current in every step); the rest is dense.
 * The potential is computed again in the backward pass: that is cheaper than writing and reading it.
 * No -ffast-math: charge rounds as torch does, so a potential at the threshold fires in both or in neither.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512

static inline float exp_fast(float x) /* relative error below 2e-7 on [-87, 87]; vectorises, unlike expf */
{
    x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* to the nearest whole number */
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f + r * (1.0f + r * (0.5f + r * (0.166666667f + r * (0.0416666667f
              + r * (0.00833333333f + r * 0.00138888889f)))));
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

void lif_forward(const float *x, long x_stride, float *s, long time, long n, float tau, float threshold, int threads)
{
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long start = 0; start < n; start += BLOCK) {
        long m = n - start < BLOCK ? n - start : BLOCK;
        float v[BLOCK] = {0};
        for (long t = 0; t < time; t++) {
            const float *xt = x + t * x_stride + start;
            float *st = s + t * n + start;
            for (long i = 0; i < m; i++) {
                float h = v[i] + (xt[i] - v[i]) / tau;
                st[i] = h >= threshold ? 1.0f : 0.0f;
                v[i] = h >= threshold ? 0.0f : h;
            }
        }
    }
}

int lif_backward(const float *x, long x_stride, const float *g, long g_stride, float *gx, long time, long n, float tau,
                 float threshold, float alpha, int threads)
{
    int failed = 0;
    #pragma omp parallel for num_threads(threads) schedule(static) reduction(|:failed)
    for (long start = 0; start < n; start += BLOCK) {
        long m = n - start < BLOCK ? n - start : BLOCK;
        float later[BLOCK] = {0}, v[BLOCK] = {0}, keep = 1.0f - 1.0f / tau;
        float *h = malloc(sizeof(float) * BLOCK * time);
        if (!h) { failed |= 1; continue; }
        for (long t = 0; t < time; t++) {
            const float *xt = x + t * x_stride + start;
            float *ht = h + t * BLOCK;
            for (long i = 0; i < m; i++) {
                ht[i] = v[i] + (xt[i] - v[i]) / tau;
                v[i] = ht[i] >= threshold ? 0.0f : ht[i];
            }
        }
        for (long t = time - 1; t >= 0; t--) {
            const float *gt = g + t * g_stride + start, *ht = h + t * BLOCK;
            float *out = gx + t * n + start;
            for (long i = 0; i < m; i++) {
                float sigma = 1.0f / (1.0f + exp_fast(-alpha * (ht[i] - threshold)));
                float to_h = gt[i] * alpha * sigma * (1.0f - sigma) + (ht[i] >= threshold ? 0.0f : later[i]);
                out[i] = to_h / tau;
                later[i] = to_h * keep;
            }
        }
        free(h);
    }
    return failed;
}
