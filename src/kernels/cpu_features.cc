#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace dormouse::kernels {
#if defined(__x86_64__)
namespace {

// The tile registers' 8 KiB are saved for a process only after it asked (Linux 5.16, arch/x86 xstate documentation).
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace
#endif

std::uint32_t cpu_features() {
  std::uint32_t features = kFeatureNone;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) features |= kFeatureAvx2;
  if (__builtin_cpu_supports("fma")) features |= kFeatureFma;
  if (__builtin_cpu_supports("f16c")) features |= kFeatureF16c;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
    features |= kFeatureAvx512;
  }
  if (__builtin_cpu_supports("avx512bf16")) features |= kFeatureAvx512Bf16;
  if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") && __builtin_cpu_supports("amx-bf16") &&
      may_use_tiles()) {
    features |= kFeatureAmx;
  }
#elif defined(__aarch64__)
  if ((::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) features |= kFeatureDotprod;
  if ((::getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) features |= kFeatureI8mm;
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
  append(kFeatureAvx512, "avx512-vnni");
  append(kFeatureAvx512Bf16, "avx512-bf16");
  append(kFeatureAmx, "amx");
  append(kFeatureDotprod, "dotprod");
  append(kFeatureI8mm, "i8mm");
  return out.empty() ? "none" : out;
}

}  // namespace dormouse::kernels
