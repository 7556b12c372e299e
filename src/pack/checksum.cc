#include "pack/checksum.h"

#include <bit>
#include <cstring>

namespace dormouse::pack {
namespace {

// Odd constants with well mixed bits (xxHash64's primes).
constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9ULL;

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

std::uint64_t load(const std::uint8_t* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

std::uint64_t checksum(std::span<const std::uint8_t> bytes) {
  std::uint64_t lanes[4] = {kPrime1, kPrime2, kPrime3, kPrime1 ^ kPrime2};
  const std::uint8_t* at = bytes.data();
  const std::uint8_t* const end = at + bytes.size();
  for (; end - at >= 32; at += 32) {
    for (int lane = 0; lane < 4; ++lane) lanes[lane] = mix(lanes[lane], load(at + 8 * lane));
  }
  std::uint64_t out = bytes.size() * kPrime3;
  for (const std::uint64_t lane : lanes) out = mix(out, lane);
  for (; at < end; ++at) out = mix(out, *at);
  out = (out ^ (out >> 33)) * kPrime2;
  return out ^ (out >> 29);
}

}  // namespace dormouse::pack
