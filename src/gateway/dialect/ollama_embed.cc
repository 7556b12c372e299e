#include "gateway/dialect/ollama_embed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/fields.h"
#include "api/json_write.h"
#include "api/strict_json.h"
#include "gateway/dialect/ollama_request.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 7> kManyFields{"model",   "input",      "truncate", "dimensions",
                                                      "options", "keep_alive", "name"};
constexpr std::array<std::string_view, 5> kOneFields{"model", "prompt", "options", "keep_alive", "name"};

std::string_view input_name(OllamaVectors shape) {
  return shape == OllamaVectors::kMany ? "input" : "prompt";
}

// Absent, "" and, where a list is taken, [] say nothing.
bool says_nothing(const json::value* input, OllamaVectors shape) {
  if (input == nullptr) return true;
  if (const json::string* const text = input->if_string()) return text->empty();
  const json::array* const list = input->if_array();
  return shape == OllamaVectors::kMany && list != nullptr && list->empty();
}

// Ollama takes no token ids, so that a number is a mistake here.
bool is_text(const json::value& input, OllamaVectors shape) {
  if (input.is_string()) return true;
  if (shape == OllamaVectors::kOne || !input.is_array()) return false;
  const json::array& list = input.get_array();
  return std::all_of(list.begin(), list.end(), [](const json::value& element) { return element.is_string(); });
}

std::size_t count_unknown(const json::object& object, OllamaVectors shape) {
  const auto is_unknown = [shape](const auto& member) {
    const std::string_view key(member.key());
    return shape == OllamaVectors::kMany ? std::find(kManyFields.begin(), kManyFields.end(), key) == kManyFields.end()
                                         : std::find(kOneFields.begin(), kOneFields.end(), key) == kOneFields.end();
  };
  return static_cast<std::size_t>(std::count_if(object.begin(), object.end(), is_unknown));
}

void append_times(std::string& out, OllamaEmbedTimes times) {
  out += fmt::format(R"(,"total_duration":{},"load_duration":{})", times.total.count(), times.load.count());
}

}  // namespace

api::ApiResult<OllamaEmbedRequest> parse_ollama_embed(std::string_view body, OllamaVectors shape) {
  const api::ApiResult<json::value> root = api::parse_strict_json(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  if (!root->is_object()) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidJson, "The body must be a JSON object.", ""});
  }
  api::Problem problem;
  const api::Fields fields(root->get_object(), "", problem);
  OllamaEmbedRequest out;
  std::string model = fields.string("model", api::kMaxNameBytes).value_or("");
  if (model.empty()) model = fields.string("name", api::kMaxNameBytes).value_or("");
  out.keep_alive = read_keep_alive(fields);
  static_cast<void>(fields.object("options"));
  json::object wish{{"model", model}};
  if (shape == OllamaVectors::kMany) {
    wish["truncate"] = fields.boolean("truncate").value_or(true);
    const std::int64_t dimensions =
        fields.integer("dimensions", {.min = 0, .max = api::kMaxEmbeddingDimensions}).value_or(0);
    if (dimensions > 0) wish["dimensions"] = dimensions;
  } else {
    wish["truncate"] = true;
  }
  const std::string name(input_name(shape));
  const json::value* const input = fields.find(name);
  const bool is_silent = says_nothing(input, shape);
  if (!is_silent && !is_text(*input, shape)) {
    fields.refuse(
        name, shape == OllamaVectors::kMany ? "input must be a text or a list of texts." : "prompt must be a text.");
  }
  if (problem.found()) return tl::unexpected(problem.error());
  const std::size_t ignored = count_unknown(root->get_object(), shape);
  if (is_silent) {
    out.request.model = std::move(model);
  } else {
    wish["input"] = *input;
    api::ApiResult<api::EmbeddingsRequest> judged = api::parse_embeddings_request(json::serialize(wish));
    if (!judged.has_value()) {
      api::ApiError error = judged.error();
      if (error.param == "input") error.param = name;
      return tl::unexpected(std::move(error));
    }
    out.request = *std::move(judged);
  }
  out.request.ignored_fields = ignored;
  return out;
}

Result<api::EmbeddingsAnswer> ollama_vectors(OllamaVectors shape, std::string_view model, std::string_view answer,
                                             OllamaEmbedTimes times) {
  TRY(const api::EmbeddingTexts read, api::read_embeddings(answer));
  api::EmbeddingsAnswer out;
  out.prompt_tokens = read.prompt_tokens;
  if (shape == OllamaVectors::kOne) {
    if (read.vectors.size() != 1) return make_error(Code::kDataLoss, "embeddings: one vector was asked for");
    out.body = fmt::format(R"({{"embedding":{}}})", read.vectors[0]);
    return out;
  }
  out.body.reserve(answer.size());
  out.body = R"({"model":)";
  api::append_json_string(out.body, model);
  out.body += R"(,"embeddings":[)";
  for (std::size_t i = 0; i < read.vectors.size(); ++i) {
    if (i > 0) out.body += ',';
    out.body += read.vectors[i];
  }
  out.body += ']';
  append_times(out.body, times);
  out.body += fmt::format(R"(,"prompt_eval_count":{}}})", read.prompt_tokens);
  return out;
}

std::string ollama_no_vectors(OllamaVectors shape, std::string_view model) {
  if (shape == OllamaVectors::kOne) return R"({"embedding":[]})";
  std::string out = R"({"model":)";
  api::append_json_string(out, model);
  return out + R"(,"embeddings":[]})";
}

}  // namespace dormouse::gateway
