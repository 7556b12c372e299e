// Any bytes: a request or an error of the table, which both become text; a request is written for a worker and read
// back the same. First byte picks chat, generate, show, a keep_alive or one of the two for vectors.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/strict_json.h"
#include "base/check.h"
#include "gateway/dialect/ollama.h"
#include "gateway/dialect/ollama_embed.h"
#include "gateway/dialect/ollama_request.h"

namespace {

namespace api = dormouse::api;
namespace gateway = dormouse::gateway;

void check_error(const api::ApiError& error) {
  CHECK(api::parse_strict_json(gateway::ollama_error(error)).has_value());
}

void check(const api::ApiResult<gateway::OllamaRequest>& got) {
  if (!got.has_value()) return check_error(got.error());
  if (got->keep_alive.has_value()) CHECK(*got->keep_alive < std::chrono::hours(24 * 366 * 100));
  if (got->says_nothing) return;
  api::GenerationRequest request = got->request;
  request.ignored_fields.clear();
  const std::string text = api::to_json(request);
  const bool is_chat = request.kind == api::GenerationRequest::Kind::kChat;
  const auto again = is_chat ? api::parse_chat_request(text) : api::parse_completion_request(text);
  CHECK(again.has_value());
  CHECK(*again == request);
}

void check(const api::ApiResult<gateway::OllamaEmbedRequest>& got) {
  if (!got.has_value()) return check_error(got.error());
  if (got->request.inputs.empty()) return;
  const auto again = api::parse_embeddings_request(api::to_json(got->request));
  CHECK(again.has_value());
  CHECK(again->inputs == got->request.inputs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0: check(gateway::parse_ollama_chat(bytes)); break;
    case 1: check(gateway::parse_ollama_generate(bytes)); break;
    case 2: {
      const auto got = gateway::parse_ollama_model(bytes);
      if (!got.has_value()) check_error(got.error());
      break;
    }
    case 3: check(gateway::parse_ollama_embed(bytes, gateway::OllamaVectors::kMany)); break;
    case 4: check(gateway::parse_ollama_embed(bytes, gateway::OllamaVectors::kOne)); break;
    default: static_cast<void>(gateway::parse_keep_alive(bytes));
  }
  return 0;
}
