// POST /v1/embeddings as native types: the request read once and written back for the upstream, the answer written by
// a worker and read by the gateway. No JSON type leaves embeddings.cc. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/generation.h"

namespace dormouse::api {

inline constexpr std::size_t kMaxEmbeddingInputs = 2048;  // OpenAI's own
inline constexpr std::int64_t kMaxEmbeddingDimensions = 65'536;

// How the states of a text's tokens become one vector.
enum class Pooling { kMean, kLast };
enum class VectorEncoding { kFloat, kBase64 };  // base64 of little-endian float32

// A text, or the ids of one.
using EmbeddingInput = std::variant<std::string, std::vector<std::int32_t>>;

struct EmbeddingsRequest {
  std::string model;
  std::vector<EmbeddingInput> inputs;      // at least one, none empty
  std::optional<std::int64_t> dimensions;  // the first so many, normalised again
  std::optional<Pooling> pooling;          // ours; absent: the model's
  VectorEncoding encoding = VectorEncoding::kFloat;
  bool truncate = false;           // ours: what does not fit the context is cut; else it is refused
  std::size_t ignored_fields = 0;  // unknown to us: counted, never an error
};

// input: string | string[] | token[] | token[][]. As parse_chat_request: strict on types and ranges, quiet on fields it
// does not know. Errors: invalid_json and its kin, invalid_value naming the field.
[[nodiscard]] ApiResult<EmbeddingsRequest> parse_embeddings_request(std::string_view body);
// For the upstream: without the model's name, which only the caller's side gives meaning.
[[nodiscard]] std::string to_json(const EmbeddingsRequest& request);

// Bytes of text and count of ids: no input has more tokens than that.
[[nodiscard]] std::int64_t most_tokens(const EmbeddingInput& input);

// The answer, vector by vector in the order of the inputs, so that no second copy of all of them is ever made.
class EmbeddingsWriter {
 public:
  explicit EmbeddingsWriter(VectorEncoding encoding);
  void add(std::span<const float> vector);
  [[nodiscard]] std::string finish(std::string_view model, std::int64_t prompt_tokens);

 private:
  const VectorEncoding encoding_;
  std::size_t count_ = 0;
  std::string out_;
};

// What a gateway needs of somebody's answer: how many tokens it was, and the answer under another model's name. The
// vectors are not parsed: they may be tens of megabytes, and pass as they are.
struct EmbeddingsAnswer {
  std::int64_t prompt_tokens = 0;
  std::string body;
};
// Errors: kDataLoss (no such answer).
[[nodiscard]] Result<EmbeddingsAnswer> rename_embeddings(std::string_view body, std::string_view model);

// The vectors of an answer in floats, each as it is written ("[0.25,-1e-3]"), in the order of the inputs; views.
struct EmbeddingTexts {
  std::int64_t prompt_tokens = 0;
  std::vector<std::string_view> vectors;
};
// Errors: kDataLoss (no such answer; a vector that is missing or there twice).
[[nodiscard]] Result<EmbeddingTexts> read_embeddings(std::string_view body);

}  // namespace dormouse::api
