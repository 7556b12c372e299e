// A fast 64-bit checksum against damage, not against malice: four lanes of multiply and rotate over 32 bytes at a time
// (the shape of xxHash64), about 10 GB/s a core, so that checking 2.5 GB costs memory time only. Pure.
#pragma once

#include <cstdint>
#include <span>

namespace dormouse::pack {

[[nodiscard]] std::uint64_t checksum(std::span<const std::uint8_t> bytes);

}  // namespace dormouse::pack
