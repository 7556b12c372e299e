// A stand-in for NVIDIA's management library: three GPUs, the second of which cannot be read. Says in the file that
// TEST_NVML_LOG names when it was started and stopped. For vitals_test and tests/metrics.
#include <cstdio>
#include <cstdlib>

namespace {

// The handle of GPU i is the address of the i-th of these.
int devices[3];

void note(const char* what) {
  const char* const path = std::getenv("TEST_NVML_LOG");
  std::FILE* const file = path != nullptr ? std::fopen(path, "a") : nullptr;
  if (file == nullptr) return;
  std::fprintf(file, "%s\n", what);
  std::fclose(file);
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  note("init");
  return 0;
}
int nvmlShutdown() {
  note("shutdown");
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 3;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  std::snprintf(name, length, "Test GPU %d", static_cast<int>(static_cast<int*>(device) - devices));
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  constexpr int kNotSupported = 3;
  if (device == &devices[1]) return kNotSupported;
  rates[0] = 42;
  rates[1] = 7;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void* /*device*/, unsigned long long* sizes) {
  sizes[0] = 16'000'000'000;
  sizes[1] = 13'000'000'000;
  sizes[2] = 3'000'000'000;
  return 0;
}
}
