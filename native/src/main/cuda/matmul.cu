// Matrix products on tensor cores, over dense bf16 and over 4-bit weights decoded inside the kernel.
//
//   out[M, N] = alpha * (A * B) + e_scale * E1 * E2 (+ bias) (+ residual), or out += for f32 outputs
//
// entry suffix   A              B                              use
//   nt           [M, K]         [N, K]                         y = x W^T
//   nn           [M, K]         [K, N]                         dx = dy W
//   tn           [K, M]         [K, N]                         dW = dy^T x
// `matmul_*_bf16` take dense bf16 operands whose rows are 16-byte aligned (strides and the contiguous extents multiples of 8);
// `matmul_*_any_bf16` take any alignment, element by element; `nf4_matmul_{nt,nn}_bf16` take B as packed NF4 [N, K] (nt) or [K, N] (nn)
// with blocks of 64 along rows whose length is a multiple of 64, scales f32 (nested scales are expanded before).
// E1 [M, R] bf16 and E2 ([N, R] for nt, [R, N] for nn) is a low-rank update that rides along as further steps of the K loop, R <= 64;
// E1 null without it. Accumulation in f32.
// out bf16 or f32 (ElementType); bias [N] any type or null; residual bf16 [M, N] or null (may be out).
// Launch: 256 threads, grid (ceil(N / 128), ceil(M / 128), splits), dynamic shared memory SHARED_DENSE or SHARED_NF4 below. With more
// than one split, block z takes steps [z, z+1) * steps_per_split of 64 along K and writes its f32 sum to out + z * split_stride;
// `split_sum_f32` then adds them in order. E, bias and residual need one split.
// FLOPs 2*M*N*(K+R). Tile 128x128x64, 8 warps of 64x32, three stages of cp.async; the decoded B tile is double-buffered so that
// decoding step k+1 overlaps the products of step k.
#include "mma.cuh"
#include "nf4.cuh"

namespace gatun {

constexpr int BM = 128, BN = 128, BK = 64, STAGES = 3, THREADS = 256;
constexpr int TILE_BYTES = 128 * 64 * 2;
constexpr int PACKED_BYTES = 128 * 64 / 2;
// A stages, then B stages (dense), or packed stages, two decoded tiles and the code book (NF4).
constexpr int SHARED_DENSE = STAGES * 2 * TILE_BYTES;
constexpr int SHARED_NF4 = STAGES * (TILE_BYTES + PACKED_BYTES) + 2 * TILE_BYTES + 64;
static_assert(SHARED_DENSE == 98304 && SHARED_NF4 == 94272, "the launcher knows these sizes");

enum Operand { DENSE, DENSE_ANY, NF4 };

struct MatmulArguments {
  void* out;
  int out_type;
  int64_t out_stride;
  const bf16* a;
  int64_t a_stride;
  const void* b;
  int64_t b_stride;
  const float* scales;
  int64_t m, n, k;
  const bf16* e1;
  int64_t e1_stride;
  const bf16* e2;
  int64_t e2_stride;
  int r;
  float e_scale;
  const void* bias;
  int bias_type;
  const bf16* residual;
  int64_t residual_stride;
  float alpha;
  int accumulate;
  int64_t split_stride;
  int steps_per_split;
};

// Byte offset of 16-byte chunk `chunk` of row `row` in a tile with CHUNKS chunks a row; the exclusive-or spreads a column of chunks
// over all banks.
template <int CHUNKS>
__device__ __forceinline__ int tile_offset(int row, int chunk) {
  return row * CHUNKS * 16 + ((chunk ^ (row & 7)) << 4);
}

// Fills a [ROWS, CHUNKS * 8] tile from a row-major matrix at (row0, col0), zeros outside [rows, cols].
template <int ROWS, int CHUNKS, bool ASYNC>
__device__ __forceinline__ void load_tile(uint8_t* tile, const bf16* source, int64_t stride, int64_t row0, int64_t rows, int64_t col0,
                                          int64_t cols, float scale) {
#pragma unroll
  for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
    int r = i / CHUNKS, c = i % CHUNKS;
    int64_t row = row0 + r, col = col0 + c * 8;
    uint8_t* target = tile + tile_offset<CHUNKS>(r, c);
    if constexpr (ASYNC) {
      bool inside = row < rows && col < cols;
      copy16_async(shared_address(target), inside ? source + row * stride + col : source, inside);
    } else {
      float v[8];
#pragma unroll
      for (int j = 0; j < 8; j++)
        v[j] = row < rows && col + j < cols ? scale * __bfloat162float(source[row * stride + col + j]) : 0.f;
      *reinterpret_cast<uint4*>(target) = pack8(v);
    }
  }
}

// One matrix product; A_T and B_N say which operands are stored with K as rows.
template <bool A_T, bool B_N, Operand KIND>
struct Matmul {
  static constexpr bool ASYNC = KIND != DENSE_ANY;
  static constexpr int A_CHUNKS = A_T ? 16 : 8;
  static constexpr int B_CHUNKS = B_N ? 16 : 8;

  const MatmulArguments& p;
  uint8_t* shared;
  int64_t m0, n0;
  int first_step, main_steps;
  float acc[4][4][4] = {};

  __device__ __forceinline__ uint8_t* a_stage(int s) const { return shared + (s % STAGES) * TILE_BYTES; }
  __device__ __forceinline__ uint8_t* b_stage(int s) const {
    return KIND == NF4 ? shared + STAGES * (TILE_BYTES + PACKED_BYTES) + (s & 1) * TILE_BYTES
                       : shared + (STAGES + s % STAGES) * TILE_BYTES;
  }
  __device__ __forceinline__ uint8_t* packed_stage(int s) const {
    return shared + STAGES * TILE_BYTES + (s % STAGES) * PACKED_BYTES;
  }
  __device__ __forceinline__ const float* code() const {
    return reinterpret_cast<const float*>(shared + STAGES * (TILE_BYTES + PACKED_BYTES) + 2 * TILE_BYTES);
  }

  // Issues the copies of step s; beyond the main loop that is the low-rank update, whose A side is scaled on the way.
  __device__ __forceinline__ void load_step(int s) {
    if (s >= main_steps) {
      int64_t k0 = (int64_t)(s - main_steps) * BK;
      load_tile<BM, 8, false>(a_stage(s), p.e1, p.e1_stride, m0, p.m, k0, p.r, p.e_scale);
      if constexpr (KIND != NF4) load_update_b(s);
      return;
    }
    int64_t k0 = (int64_t)(first_step + s) * BK;
    if constexpr (A_T)
      load_tile<BK, 16, ASYNC>(a_stage(s), p.a, p.a_stride, k0, p.k, m0, p.m, 1.f);
    else
      load_tile<BM, 8, ASYNC>(a_stage(s), p.a, p.a_stride, m0, p.m, k0, p.k, 1.f);
    if constexpr (KIND == NF4) {
      load_packed(s, k0);
    } else {
      const bf16* b = static_cast<const bf16*>(p.b);
      if constexpr (B_N)
        load_tile<BK, 16, ASYNC>(b_stage(s), b, p.b_stride, k0, p.k, n0, p.n, 1.f);
      else
        load_tile<BN, 8, ASYNC>(b_stage(s), b, p.b_stride, n0, p.n, k0, p.k, 1.f);
    }
  }

  __device__ __forceinline__ void load_update_b(int s) {
    int64_t k0 = (int64_t)(s - main_steps) * BK;
    if constexpr (B_N)
      load_tile<BK, 16, false>(b_stage(s), p.e2, p.e2_stride, k0, p.r, n0, p.n, 1.f);
    else
      load_tile<BN, 8, false>(b_stage(s), p.e2, p.e2_stride, n0, p.n, k0, p.r, 1.f);
  }

  // Where this thread's 32 packed elements of a step are: row and first column in the weight.
  __device__ __forceinline__ void packed_place(int64_t k0, int64_t& row, int64_t& col) const {
    if constexpr (B_N) {
      row = k0 + threadIdx.x / 4;
      col = n0 + threadIdx.x % 4 * 32;
    } else {
      row = n0 + threadIdx.x / 2;
      col = k0 + threadIdx.x % 2 * 32;
    }
  }
  __device__ __forceinline__ bool packed_inside(int64_t row, int64_t col) const {
    return B_N ? row < p.k && col < p.n : row < p.n && col < p.k;
  }

  __device__ __forceinline__ void load_packed(int s, int64_t k0) {
    int64_t row, col;
    packed_place(k0, row, col);
    bool inside = packed_inside(row, col);
    const uint8_t* packed = static_cast<const uint8_t*>(p.b);
    copy16_async(shared_address(packed_stage(s) + threadIdx.x * 16), inside ? packed + (row * p.b_stride + col) / 2 : packed, inside);
  }

  __device__ __forceinline__ float scale_of(int s) const {
    if (s >= main_steps) return 0.f;
    int64_t row, col;
    packed_place((int64_t)(first_step + s) * BK, row, col);
    return packed_inside(row, col) ? p.scales[(row * p.b_stride + col) / 64] : 0.f;
  }

  // Packed stage s -> decoded tile, each thread the 16 bytes it copied itself.
  __device__ __forceinline__ void decode_step(int s, float scale) {
    if (s >= main_steps) {
      load_update_b(s);
      return;
    }
    uint4 packed = *reinterpret_cast<const uint4*>(packed_stage(s) + threadIdx.x * 16);
    uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
    int row = B_N ? threadIdx.x / 4 : threadIdx.x / 2;
    int chunk = (B_N ? threadIdx.x % 4 : threadIdx.x % 2) * 4;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      float v[8];
      decode8(words[j], scale, code(), v);
      *reinterpret_cast<uint4*>(b_stage(s) + tile_offset<B_CHUNKS>(row, chunk + j)) = pack8(v);
    }
  }

  __device__ __forceinline__ void multiply(int s) {
    const uint8_t* at = a_stage(s);
    const uint8_t* bt = b_stage(s);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int wm = warp / 4 * 64, wn = warp % 4 * 32;
    int low = lane & 7, bit3 = (lane >> 3) & 1, bit4 = lane >> 4;
#pragma unroll
    for (int kk = 0; kk < BK / 16; kk++) {
      uint32_t a[4][4], b[2][4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if constexpr (A_T)
          ldmatrix_transposed(a[i], shared_address(at + tile_offset<16>(kk * 16 + low + bit4 * 8, (wm + i * 16) / 8 + bit3)));
        else
          ldmatrix(a[i], shared_address(at + tile_offset<8>(wm + i * 16 + low + bit3 * 8, kk * 2 + bit4)));
      }
#pragma unroll
      for (int j = 0; j < 2; j++) {
        if constexpr (B_N)
          ldmatrix_transposed(b[j], shared_address(bt + tile_offset<16>(kk * 16 + low + bit3 * 8, (wn + j * 16) / 8 + bit4)));
        else
          ldmatrix(b[j], shared_address(bt + tile_offset<8>(wn + j * 16 + low + bit4 * 8, kk * 2 + bit3)));
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) mma(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }

  __device__ __forceinline__ void run() {
    int total = (int)((p.k + BK - 1) / BK);
    first_step = blockIdx.z * p.steps_per_split;
    main_steps = max(0, min(p.steps_per_split, total - first_step));
    int steps = main_steps + (p.e1 == nullptr ? 0 : (p.r + BK - 1) / BK);
    if constexpr (KIND == NF4) {
      if (threadIdx.x < 16) const_cast<float*>(code())[threadIdx.x] = NF4_CODE[threadIdx.x];
      __syncthreads();
    }
    float scale = 0.f;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
      if (s < steps) load_step(s);
      commit_copies();
    }
    if constexpr (KIND == NF4) {
      wait_copies<STAGES - 2>();
      if (steps > 0) decode_step(0, scale_of(0));
      scale = scale_of(1);
    }
    for (int s = 0; s < steps; s++) {
      // NF4 needs the packed bytes of the next step now; dense operands only those of this one.
      wait_copies<KIND == NF4 ? 0 : STAGES - 2>();
      __syncthreads();
      float next_scale = 0.f;
      if constexpr (KIND == NF4) next_scale = scale_of(s + 2);
      if (s + STAGES - 1 < steps) load_step(s + STAGES - 1);
      commit_copies();
      if constexpr (KIND == NF4) {
        if (s + 1 < steps) decode_step(s + 1, scale);
        scale = next_scale;
      }
      multiply(s);
    }
    wait_copies<0>();
    write();
  }

  __device__ __forceinline__ void write() {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int64_t row0 = m0 + warp / 4 * 64 + lane / 4, col0 = n0 + warp % 4 * 32 + lane % 4 * 2;
    char* out = static_cast<char*>(p.out) + (int64_t)blockIdx.z * p.split_stride * 4;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int e = 0; e < 4; e += 2) write_pair(out, row0 + i * 16 + e * 4, col0 + j * 8, acc[i][j][e], acc[i][j][e + 1]);
  }

  __device__ __forceinline__ void write_pair(void* out, int64_t row, int64_t col, float v0, float v1) {
    if (row >= p.m || col >= p.n) return;
    bool both = col + 1 < p.n;
    v0 *= p.alpha;
    v1 *= p.alpha;
    if (p.bias != nullptr) {
      v0 += load_as_float(p.bias, col, p.bias_type);
      if (both) v1 += load_as_float(p.bias, col + 1, p.bias_type);
    }
    if (p.residual != nullptr) {
      const bf16* r = p.residual + row * p.residual_stride + col;
      v0 += __bfloat162float(r[0]);
      if (both) v1 += __bfloat162float(r[1]);
    }
    int64_t at = row * p.out_stride + col;
    if (p.out_type == BF16) {
      bf16* o = static_cast<bf16*>(out) + at;
      if (p.accumulate) {
        v0 += __bfloat162float(o[0]);
        if (both) v1 += __bfloat162float(o[1]);
      }
      if (both && (reinterpret_cast<uintptr_t>(o) & 3) == 0)  // a strided output may start anywhere
        *reinterpret_cast<__nv_bfloat162*>(o) = __floats2bfloat162_rn(v0, v1);
      else {
        o[0] = __float2bfloat16_rn(v0);
        if (both) o[1] = __float2bfloat16_rn(v1);
      }
    } else {
      float* o = static_cast<float*>(out) + at;
      o[0] = p.accumulate ? o[0] + v0 : v0;
      if (both) o[1] = p.accumulate ? o[1] + v1 : v1;
    }
  }
};

}  // namespace gatun

using gatun::bf16;

#define MATMUL(NAME, A_T, B_N, KIND)                                                                                              \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                                         \
      NAME(void* out, int out_type, int64_t out_stride, const bf16* a, int64_t a_stride, const void* b, int64_t b_stride,      \
           const float* scales, int64_t m, int64_t n, int64_t k, const bf16* e1, int64_t e1_stride, const bf16* e2,            \
           int64_t e2_stride, int r, float e_scale, const void* bias, int bias_type, const bf16* residual,                     \
           int64_t residual_stride, float alpha, int accumulate, int64_t split_stride, int steps_per_split) {                  \
    extern __shared__ __align__(1024) uint8_t shared[];                                                                        \
    gatun::MatmulArguments p{out, out_type, out_stride, a, a_stride, b, b_stride, scales, m, n, k, e1, e1_stride, e2,          \
                             e2_stride, r, e_scale, bias, bias_type, residual, residual_stride, alpha, accumulate,             \
                             split_stride, steps_per_split};                                                                   \
    gatun::Matmul<A_T, B_N, gatun::KIND> product{p, shared, (int64_t)blockIdx.y * gatun::BM, (int64_t)blockIdx.x * gatun::BN, 0, 0}; \
    product.run();                                                                                                             \
  }
MATMUL(matmul_nt_bf16, false, false, DENSE)
MATMUL(matmul_nn_bf16, false, true, DENSE)
MATMUL(matmul_tn_bf16, true, true, DENSE)
MATMUL(matmul_nt_any_bf16, false, false, DENSE_ANY)
MATMUL(matmul_nn_any_bf16, false, true, DENSE_ANY)
MATMUL(matmul_tn_any_bf16, true, true, DENSE_ANY)
MATMUL(nf4_matmul_nt_bf16, false, false, NF4)
MATMUL(nf4_matmul_nn_bf16, false, true, NF4)

// out[i, j] (+)= alpha * sum over splits of partial[z, i, j], in order. Grid-stride, 256 threads; partial [splits, rows, cols].
extern "C" __global__ void __launch_bounds__(256)
    split_sum_f32(void* out, int out_type, int64_t out_stride, const float* partial, int splits, int64_t rows, int64_t cols, float alpha,
                  int accumulate) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < rows * cols; i += gridDim.x * 256ll) {
    float sum = 0.f;
    for (int z = 0; z < splits; z++) sum += partial[z * rows * cols + i];
    int64_t at = i / cols * out_stride + i % cols;
    sum *= alpha;
    if (accumulate) sum += gatun::load_as_float(out, at, out_type);
    gatun::store_as(out, at, out_type, sum);
  }
}
