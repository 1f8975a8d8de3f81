/* The values that lie in memory: float or, with HALF, bfloat16. What is computed with is float. */
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define THREAD omp_get_thread_num()
#else
#define THREAD 0
#endif

#ifdef HALF
typedef uint16_t value; /* the upper half of a float */
static inline float get(value v)
{
    uint32_t bits = (uint32_t)v << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline value put(float x) /* to the nearest, ties to even */
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (value)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#else
typedef float value;
static inline float get(value v) { return v; }
static inline value put(float x) { return x; }
#endif
