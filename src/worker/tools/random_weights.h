// Seeded noise in every block format, made directly as blocks: about a nanosecond a weight, where encoding floats takes
// tens. What comes out is valid (every factor finite and sane) and has the wanted spread, nothing else. Pure.
#pragma once

#include <cstdint>

#include "base/tensor_type.h"

namespace dormouse::worker {

// SplitMix64 (Steele, Lea, Flood 2014): any seed is good, and its output is the same on every machine.
class NoiseSource {
 public:
  explicit NoiseSource(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  // In [0, 1).
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24F; }

 private:
  std::uint64_t state_;
};

// out: n weights of `type` (whole blocks), mean about 0 and standard deviation sigma; sigma 0: F32 weights in 0.9..1.1
// (norms). The same source state gives the same bytes.
void fill_random_weights(TensorType type, float sigma, NoiseSource& noise, void* out, std::uint64_t n);

}  // namespace dormouse::worker
