#include "worker/embedding_rules.h"

#include <algorithm>
#include <limits>
#include <string>

namespace dormouse::worker {
namespace {

// llama.cpp's enum llama_pooling_type; none, cls and rank are not what a decoder has.
constexpr std::uint64_t kGgufMean = 1;
constexpr std::uint64_t kGgufLast = 3;

api::Pooling pooling_of(const gguf::File& file, std::string_view name) {
  const Result<std::uint64_t> type = file.get_uint("qwen3.pooling_type", 0, 16);
  if (type.has_value() && *type == kGgufMean) return api::Pooling::kMean;
  if (type.has_value() && *type == kGgufLast) return api::Pooling::kLast;
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower.find("embedding") != std::string::npos ? api::Pooling::kLast : api::Pooling::kMean;
}

}  // namespace

EmbeddingRules embedding_rules(const gguf::File& file, std::string_view name, std::optional<api::Pooling> asked) {
  EmbeddingRules out;
  out.pooling = asked.has_value() ? *asked : pooling_of(file, name);
  const Result<bool> has_end = file.get_bool("tokenizer.ggml.add_eos_token");
  if (!has_end.has_value() || !*has_end) return out;
  const Result<std::uint64_t> id =
      file.get_uint("tokenizer.ggml.eos_token_id", 0, std::numeric_limits<text::TokenId>::max());
  if (id.has_value()) out.end = static_cast<text::TokenId>(*id);
  return out;
}

}  // namespace dormouse::worker
