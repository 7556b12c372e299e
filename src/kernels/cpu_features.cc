#include "kernels/cpu_features.h"

namespace dormouse::kernels {

std::uint32_t cpu_features() {
  std::uint32_t features = kFeatureNone;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) features |= kFeatureAvx2;
  if (__builtin_cpu_supports("fma")) features |= kFeatureFma;
  if (__builtin_cpu_supports("f16c")) features |= kFeatureF16c;
#endif
  return features;
}

void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::string describe_features(std::uint32_t features) {
  std::string out;
  const auto append = [&](CpuFeature bit, const char* name) {
    if ((features & bit) == 0) return;
    if (!out.empty()) out += ' ';
    out += name;
  };
  append(kFeatureAvx2, "avx2");
  append(kFeatureFma, "fma");
  append(kFeatureF16c, "f16c");
  return out.empty() ? "none" : out;
}

}  // namespace dormouse::kernels
