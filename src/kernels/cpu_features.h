// What this CPU and its operating system can run. Read once, by dispatch.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kernels.h"

namespace dormouse::kernels {

// Bits of CpuFeature. A feature counts only if the system saves its registers (the compiler's check includes XGETBV).
[[nodiscard]] std::uint32_t cpu_features();
// Tells the CPU that this is a spin loop (PAUSE): 15 to 50 ns.
void cpu_relax();
// "avx2 fma f16c", for messages.
[[nodiscard]] std::string describe_features(std::uint32_t features);

}  // namespace dormouse::kernels
