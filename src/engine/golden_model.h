// The tiny random Qwen3 of tests/golden/tiny_qwen3 and what the numpy reference says of it. Test code only.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gguf/file.h"

namespace dormouse::engine {

struct Golden {
  std::int32_t vocab = 0;
  std::vector<sched::TokenId> tokens;
  std::vector<float> exact;    // [tokens, vocab], keys and values in double
  std::vector<float> half_kv;  // [tokens, vocab], keys and values rounded to fp16 as the cache does
};

inline std::string golden_path(const std::string& name) {
  return std::string(DORMOUSE_SOURCE_DIR) + "/tests/golden/tiny_qwen3/" + name;
}

// Empty tokens: the file is not there.
inline Golden read_golden() {
  std::ifstream in(golden_path("logits.bin"), std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  Golden out;
  std::int32_t header[2] = {};
  if (bytes.size() < sizeof header) return out;
  std::memcpy(header, bytes.data(), sizeof header);
  out.vocab = header[1];
  const auto count = static_cast<std::size_t>(header[0]);
  const std::size_t logits = count * static_cast<std::size_t>(header[1]);
  if (bytes.size() != sizeof header + 4 * (count + 2 * logits)) return out;
  out.tokens.resize(count);
  out.exact.resize(logits);
  out.half_kv.resize(logits);
  const char* at = bytes.data() + sizeof header;
  std::memcpy(out.tokens.data(), at, 4 * count);
  std::memcpy(out.exact.data(), at + 4 * count, 4 * logits);
  std::memcpy(out.half_kv.data(), at + 4 * (count + logits), 4 * logits);
  return out;
}

// |a - b| / |b| in the Euclidean norm.
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace dormouse::engine
