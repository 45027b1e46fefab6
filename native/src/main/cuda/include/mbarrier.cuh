// Shared-memory barriers between producer and consumer warps, and named barriers between some warps of a block; sm_90.
#pragma once
#include <stdint.h>

namespace gatun {

// An mbarrier counts arrivals and flips a phase bit: unlike __syncthreads, a producer can run ahead by as many as there are stages.
__device__ __forceinline__ void barrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives when this thread's cp.async copies so far have landed, so that the producer need not wait for them.
__device__ __forceinline__ void barrier_arrive_after_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Waits until the phase of parity `phase` is complete; a fresh barrier counts as having completed phase 1.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, int phase) {
  asm volatile(
      "{.reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra ready;\n"
      "bra again;\n"
      "ready: }" ::"r"(barrier),
      "r"(phase)
      : "memory");
}

// Makes ordinary writes to shared memory, cp.async's too, visible to the tensor cores' asynchronous reads.
__device__ __forceinline__ void fence_async_reads() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Named barriers synchronise a subset of a block's warps; `threads` counts those that arrive and those that wait.
__device__ __forceinline__ void named_wait(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ __forceinline__ void named_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace gatun
