// A double of libcublasLt whose device memory is host memory: column-major products of bf16 matrices, computed in double.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int compute, scale, transposed[2]; } Operation;
typedef struct { int type; uint64_t rows, columns; int64_t stride; } Layout;
typedef struct { uint64_t data[8]; size_t workspace; int status; float waves; int reserved[4]; } Result;

static int version = 130100, heuristics, live, preferred[16], refuse;

void fake_reset(void) { version = 130100; heuristics = live = refuse = 0; }
void fake_version(int v) { version = v; }
void fake_refuse(int v) { refuse = v; }
int fake_heuristics(void) { return heuristics; }
int fake_live(void) { return live; }
int fake_preferred(int attribute) { return preferred[attribute]; }

static int make(void** out, size_t bytes) { live++; *out = calloc(1, bytes); return 0; }
static int drop(void* p) { live--; free(p); return 0; }

size_t cublasLtGetVersion(void) { return version; }
const char* cublasLtGetStatusName(int s) { return s == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_OTHER"; }
int cublasLtCreate(void** out) { return make(out, 8); }
int cublasLtDestroy(void* h) { return drop(h); }
int cublasLtMatmulDescCreate(Operation** out, int compute, int scale) {
  make((void**)out, sizeof(Operation));
  (*out)->compute = compute, (*out)->scale = scale;
  return compute == 68 && scale == 0 ? 0 : 7;
}
int cublasLtMatmulDescDestroy(void* p) { return drop(p); }
int cublasLtMatmulDescSetAttribute(Operation* d, int attribute, const int* value, size_t bytes) {
  if (bytes != 4 || attribute < 3 || attribute > 4) return 7;
  d->transposed[attribute - 3] = *value == 1;
  return 0;
}
int cublasLtMatrixLayoutCreate(Layout** out, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  make((void**)out, sizeof(Layout));
  **out = (Layout){type, rows, columns, stride};
  return stride >= (int64_t)rows ? 0 : 7;
}
int cublasLtMatrixLayoutDestroy(void* p) { return drop(p); }
int cublasLtMatmulPreferenceCreate(void** out) { return make(out, 8); }
int cublasLtMatmulPreferenceDestroy(void* p) { return drop(p); }
int cublasLtMatmulPreferenceSetAttribute(void* p, int attribute, const int* value, size_t bytes) {
  preferred[attribute] = *value;
  return bytes == (attribute == 1 ? 8 : 4) ? 0 : 7;
}
int cublasLtMatmulAlgoGetHeuristic(void* h, Operation* o, Layout* a, Layout* b, Layout* c, Layout* d, void* preference, int wanted,
                                   Result* results, int* found) {
  heuristics++;
  memset(results, 0, sizeof *results);
  results->data[0] = 0xA160;
  *found = refuse ? 0 : 1;
  return 0;
}

static double value(const void* p, int type, int64_t i) {
  union { uint32_t bits; float f; } u;
  u.bits = type == 14 ? (uint32_t)((const uint16_t*)p)[i] << 16 : ((const uint32_t*)p)[i];
  return u.f;
}
static void put(void* p, int type, int64_t i, double v) {
  union { uint32_t bits; float f; } u;
  u.f = v;
  if (type == 14) ((uint16_t*)p)[i] = (u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16;
  else ((uint32_t*)p)[i] = u.bits;
}
int cublasLtMatmul(void* h, Operation* o, const float* alpha, void* a, Layout* la, void* b, Layout* lb, const float* beta, void* c,
                   Layout* lc, void* d, Layout* ld, const uint64_t* algorithm, void* workspace, size_t bytes, void* stream) {
  uint64_t k = o->transposed[0] ? la->rows : la->columns;
  uint64_t m = o->transposed[0] ? la->columns : la->rows;
  uint64_t n = o->transposed[1] ? lb->rows : lb->columns;
  if (k != (o->transposed[1] ? lb->columns : lb->rows) || m != ld->rows || n != ld->columns || lc->type != ld->type) return 7;
  if (algorithm[0] != 0xA160 || stream == 0) return 7;
  for (uint64_t j = 0; j < n; j++)
    for (uint64_t i = 0; i < m; i++) {
      double sum = 0;
      for (uint64_t p = 0; p < k; p++)
        sum += value(a, la->type, o->transposed[0] ? p + i * la->stride : i + p * la->stride) *
               value(b, lb->type, o->transposed[1] ? j + p * lb->stride : p + j * lb->stride);
      double old = *beta == 0 ? 0 : *beta * value(c, lc->type, i + j * lc->stride);
      put(d, ld->type, i + j * ld->stride, *alpha * sum + old);
    }
  return 0;
}
