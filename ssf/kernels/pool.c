/* MaxPool(3, stride 2, padding 1) of maps x [n][rows][cols][channels], values of float or, with HALF, of bfloat16, and
 * its gradient. `taps` says which of the nine places of a window held the maximum, the first of equal ones, as in torch;
 * so the gradient is gathered pixel by pixel, and no zeros are written first. See pooling.py.
 */
#include "values.h"

#define HALF_OF(length) (((length) + 1) / 2)
#define PIECE 64 /* channels at a time: their maxima stay in registers */

#ifdef HALF
typedef int16_t key;
#else
typedef int32_t key;
#endif

/* The bits of a value as a whole number in the same order, as wide, so that loops stay simple; twice gives them back. */
static inline key ordered(key bits)
{
    return bits < 0 ? bits ^ (key)((1u << (8 * sizeof bits - 1)) - 1) : bits;
}

static inline key key_of(value v)
{
    key bits;
    memcpy(&bits, &v, sizeof bits);
    return ordered(bits);
}

/* out, taps: [n][HALF_OF(rows)][HALF_OF(cols)][channels]. */
void pool_forward(const value *x, value *out, uint8_t *taps, long n, long rows, long cols, long channels, int threads)
{
    long down = HALF_OF(rows), across = HALF_OF(cols);
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < n * down * across; i++) {
        long image = i / (down * across), top = 2 * (i / across % down) - 1, left = 2 * (i % across) - 1;
        for (long start = 0; start < channels; start += PIECE) {
            long m = channels - start < PIECE ? channels - start : PIECE;
            key best[PIECE], tap[PIECE];
            for (long k = 0, found = 0; k < 9; k++) {
                long row = top + k / 3, col = left + k % 3;
                if (row < 0 || row >= rows || col < 0 || col >= cols) continue;
                const value *here = x + ((image * rows + row) * cols + col) * channels + start;
                if (!found++) {
                    #pragma omp simd
                    for (long c = 0; c < m; c++) { best[c] = key_of(here[c]); tap[c] = (key)k; }
                    continue;
                }
                #pragma omp simd
                for (long c = 0; c < m; c++) {
                    key candidate = key_of(here[c]);
                    tap[c] = candidate > best[c] ? (key)k : tap[c];
                    best[c] = candidate > best[c] ? candidate : best[c];
                }
            }
            #pragma omp simd
            for (long c = 0; c < m; c++) {
                value v;
                key bits = ordered(best[c]);
                memcpy(&v, &bits, sizeof v);
                out[i * channels + start + c] = v;
                taps[i * channels + start + c] = (uint8_t)tap[c];
            }
        }
    }
}

/* The gradient of a pixel that so many windows see, each at another of its nine places. */
static inline __attribute__((always_inline)) void gather(value *out, const value *g, const uint8_t *taps,
                                                         const long *windows, const uint8_t *places, long channels,
                                                         int count)
{
    #pragma omp simd
    for (long c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (int w = 0; w < count; w++)
            sum += taps[windows[w] + c] == places[w] ? get(g[windows[w] + c]) : 0.0f;
        out[c] = put(sum);
    }
}

/* Gradient out [n][rows][cols][channels] of x, from that of the maxima, g. */
void pool_backward(const value *g, const uint8_t *taps, value *out, long n, long rows, long cols, long channels,
                   int threads)
{
    long down = HALF_OF(rows), across = HALF_OF(cols);
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < n * rows; i++)
        for (long col = 0; col < cols; col++) {
            long row = i % rows, windows[4];
            uint8_t places[4];
            int count = 0;
            for (long y = row / 2; y <= (row + 1) / 2 && y < down; y++)
                for (long x = col / 2; x <= (col + 1) / 2 && x < across; x++) {
                    windows[count] = ((i / rows * down + y) * across + x) * channels;
                    places[count++] = (uint8_t)((row - 2 * y + 1) * 3 + col - 2 * x + 1);
                }
            value *to = out + (i * cols + col) * channels;
            if (count == 1) gather(to, g, taps, windows, places, channels, 1);
            else if (count == 2) gather(to, g, taps, windows, places, channels, 2);
            else gather(to, g, taps, windows, places, channels, 4);
        }
}
