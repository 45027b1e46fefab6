// A double of libcuda.so.1 whose device memory is host memory. Every call is logged by name; a test may make one fail. Launches
// are not run: their geometry and the bytes of their arguments are kept for the test to read.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int version, devices, capability, buffers, pinned, capturing, captured, mismatch, owner; } State;
typedef struct { int grid[3], block[3], shared, cluster; void* stream; void* pointers[16]; unsigned char bytes[1024]; int used; } Launch;

static State state;
static Launch last;
static char failing[64], calls[1 << 16], error_log[256];
static int fail_code, sizes[16], parameters;
static void* current;

void fake_reset(void) {
  state = (State){13000, 1, 90, 0, 0, 0, 0, 0, 0};
  memset(&last, 0, sizeof last);
  failing[0] = calls[0] = error_log[0] = 0;
  parameters = 0;
  current = 0;
}
void fake_fail(const char* call, int code) { snprintf(failing, sizeof failing, "%s", call); fail_code = code; }
void fake_error_log(const char* text) { snprintf(error_log, sizeof error_log, "%s", text); }
void fake_set(int what, int value) { ((int*)&state)[what] = value; }
int fake_get(int what) { return ((int*)&state)[what]; }
void fake_parameter(int bytes) { sizes[parameters++] = bytes; }
const char* fake_calls(void) { return calls; }
const Launch* fake_launch(void) { return &last; }

static int enter(const char* call) {
  size_t at = strlen(calls);
  if (at + 64 < sizeof calls) snprintf(calls + at, sizeof calls - at, "%s ", call);
  return strcmp(call, failing) == 0 ? fail_code : 0;
}
#define ENTER                    \
  int status = enter(__func__); \
  if (status) return status;

int cuInit(unsigned flags) { ENTER return state.devices == 0 ? 100 : 0; }
int cuDriverGetVersion(int* out) { ENTER *out = state.version; return 0; }
int cuDeviceGetCount(int* out) { ENTER *out = state.devices; return 0; }
int cuDeviceGet(int* out, int ordinal) { ENTER *out = ordinal; return 0; }
int cuDeviceGetName(char* name, int n, int device) { ENTER snprintf(name, n, "Fake GPU %d", device); return 0; }
int cuDeviceTotalMem_v2(size_t* out, int device) { ENTER *out = 80ul << 30; return 0; }
int cuDeviceGetAttribute(int* out, int attribute, int device) {
  ENTER
  switch (attribute) {
    case 75: *out = state.capability / 10; return 0;
    case 76: *out = state.capability % 10; return 0;
    case 16: *out = 132; return 0;
    case 97: *out = 232448; return 0;
    default: *out = 1000 + attribute; return 0;
  }
}
int cuGetErrorName(int code, const char** out) {
  *out = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 218 ? "CUDA_ERROR_INVALID_PTX" : 0;
  return *out ? 0 : 1;
}
int cuGetErrorString(int code, const char** out) {
  *out = code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : code == 218 ? "a PTX JIT compilation failed" : 0;
  return *out ? 0 : 1;
}
int cuDevicePrimaryCtxRetain(void** out, int device) { ENTER *out = (void*)(uintptr_t)(0xC0 + device); return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { ENTER return 0; }
int cuCtxSetCurrent(void* context) { current = context; return 0; }
int cuCtxGetCurrent(void** out) { ENTER *out = current; return 0; }
int cuCtxGetDevice(int* out) { ENTER *out = (int)((uintptr_t)current - 0xC0); return 0; }
int cuCtxSynchronize(void) { ENTER return 0; }
int cuCtxGetStreamPriorityRange(int* least, int* greatest) { ENTER *least = 0; *greatest = -5; return 0; }
static struct { uint64_t address; size_t bytes; } held[256];
static void hold(uint64_t from, uint64_t to, size_t bytes) {
  for (int i = 0; i < 256; i++)
    if (held[i].address == from) { held[i].address = to, held[i].bytes = bytes; return; }
}
int cuMemAlloc_v2(uint64_t* out, size_t bytes) { ENTER state.buffers++; *out = (uintptr_t)aligned_alloc(256, (bytes + 255) / 256 * 256); memset((void*)*out, 0, bytes); hold(0, *out, bytes); return 0; }
int cuMemFree_v2(uint64_t address) { ENTER state.buffers--; hold(address, 0, 0); free((void*)address); return 0; }
int cuPointerGetAttribute(void* out, int attribute, uint64_t address) {
  ENTER
  for (int i = 0; i < 256; i++)
    if (address - held[i].address < held[i].bytes) { *(int*)out = state.owner; return attribute == 9 ? 0 : 1; }
  return 1;
}
int cuMemHostAlloc(void** out, size_t bytes, unsigned flags) { ENTER state.pinned++; *out = malloc(bytes); return 0; }
int cuMemFreeHost(void* p) { ENTER state.pinned--; free(p); return 0; }
int cuMemGetInfo_v2(size_t* available, size_t* total) { ENTER *available = 79ul << 30; *total = 80ul << 30; return 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t n) { ENTER memcpy((void*)to, from, n); return 0; }
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t n) { ENTER memcpy(to, (void*)from, n); return 0; }
static int work(void) { state.captured += state.capturing; return state.capturing; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t n, void* s) { ENTER if (!work()) memcpy((void*)to, from, n); return 0; }
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t n, void* s) { ENTER if (!work()) memcpy(to, (void*)from, n); return 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* s) { ENTER if (!work()) memcpy((void*)to, (void*)from, n); return 0; }
int cuMemsetD8Async(uint64_t to, unsigned char v, size_t n, void* s) { ENTER if (!work()) memset((void*)to, v, n); return 0; }
int cuMemsetD32Async(uint64_t to, unsigned v, size_t n, void* s) {
  ENTER
  if (!work()) for (size_t i = 0; i < n; i++) ((unsigned*)to)[i] = v;
  return 0;
}
int cuStreamCreateWithPriority(void** out, unsigned flags, int priority) { ENTER *out = (void*)(uintptr_t)(0x5000 - priority); return flags == 1 ? 0 : 1; }
int cuStreamDestroy_v2(void* s) { ENTER return 0; }
int cuStreamSynchronize(void* s) { ENTER return state.capturing ? 900 : 0; }
int cuStreamQuery(void* s) { ENTER return 0; }
int cuStreamWaitEvent(void* s, void* e, unsigned flags) { ENTER return 0; }
int cuStreamBeginCapture_v2(void* s, int mode) { ENTER state.capturing = 1; state.captured = 0; return mode == 1 ? 0 : 1; }
int cuStreamEndCapture(void* s, void** out) { ENTER state.capturing = 0; *out = (void*)0x6000; return 0; }
int cuEventCreate(void** out, unsigned flags) { ENTER *out = (void*)(uintptr_t)(0xE000 + flags); return 0; }
int cuEventDestroy_v2(void* e) { ENTER return 0; }
int cuEventRecord(void* e, void* s) { ENTER return 0; }
int cuEventQuery(void* e) { ENTER return 600; }
int cuEventSynchronize(void* e) { ENTER return 0; }
int cuEventElapsedTime_v2(float* out, void* a, void* b) { ENTER *out = 1.5f; return 0; }
int cuGraphGetNodes(void* g, void** nodes, size_t* count) { ENTER *count = state.captured; return 0; }
int cuGraphInstantiateWithFlags(void** out, void* g, unsigned long long flags) { ENTER *out = (void*)0x7000; return 0; }
int cuGraphExecUpdate_v2(void* instance, void* g, void* info) { ENTER return state.mismatch ? 910 : 0; }
int cuGraphLaunch(void* instance, void* s) { ENTER return 0; }
int cuGraphDestroy(void* g) { ENTER return 0; }
int cuGraphExecDestroy(void* instance) { ENTER return 0; }
int cuModuleLoadDataEx(void** out, const void* image, unsigned n, int* options, void** values) {
  int status = enter(__func__);
  for (unsigned i = 0; status && i < n; i++)
    if (options[i] == 5) snprintf(values[i], 256, "%s", error_log);
  *out = (void*)0x8000;
  return status;
}
int cuModuleUnload(void* m) { ENTER return 0; }
int cuModuleGetFunction(void** out, void* m, const char* name) { ENTER *out = (void*)0x9000; return 0; }
int cuFuncGetAttribute(int* out, int attribute, void* f) { ENTER *out = 40; return 0; }
int cuFuncSetAttribute(void* f, int attribute, int value) { ENTER return attribute == 8 ? 0 : 1; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, void* f, int threads, size_t shared) { ENTER *out = 2048 / threads; return 0; }
static void keep(void** pointers) {
  last.used = 0;
  for (int i = 0; i < parameters; i++) {
    last.pointers[i] = pointers[i];
    memcpy(last.bytes + last.used, pointers[i], sizes[i]);
    last.used += sizes[i];
  }
}
int cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* s,
                   void** pointers, void** extra) {
  ENTER
  work();
  last.grid[0] = gx, last.grid[1] = gy, last.grid[2] = gz;
  last.block[0] = bx, last.block[1] = by, last.block[2] = bz;
  last.shared = shared, last.stream = s, last.cluster = 1;
  keep(pointers);
  return extra == 0 ? 0 : 1;
}
typedef struct { unsigned id; char pad[4]; unsigned x, y, z; char rest[52]; } Attribute;
typedef struct { unsigned grid[3], block[3], shared; void* stream; Attribute* attributes; unsigned count; } Config;
int cuLaunchKernelEx(const Config* c, void* f, void** pointers, void** extra) {
  ENTER
  memcpy(last.grid, c->grid, 12);
  memcpy(last.block, c->block, 12);
  last.shared = c->shared, last.stream = c->stream;
  last.cluster = c->count == 1 && c->attributes->id == 4 && c->attributes->y == 1 && c->attributes->z == 1 ? c->attributes->x : -1;
  keep(pointers);
  return 0;
}
int cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* base, const uint64_t* extents, const uint64_t* strides,
                           const unsigned* box, const unsigned* steps, int interleave, int swizzle, int promotion, int fill) {
  ENTER
  uint64_t* out = map;
  memset(map, 0, 128);
  out[0] = (uintptr_t)base, out[1] = type, out[2] = rank, out[3] = swizzle;
  for (unsigned i = 0; i < rank; i++) out[4 + i] = extents[i], out[8 + i] = box[i] * steps[i];
  for (unsigned i = 0; i + 1 < rank; i++) out[12 + i] = strides[i];
  return (uintptr_t)map % 128 == 0 ? 0 : 1;
}
