#include "worker/adopt/call_rewrite.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <optional>
#include <utility>

#include "api/embeddings.h"
#include "api/fields.h"
#include "api/strict_json.h"
#include "worker/adopt/usage_json.h"

namespace dormouse::worker::adopt {
namespace {

namespace json = boost::json;

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

tl::unexpected<api::ApiError> invalid(std::string message, std::string param) {
  return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidValue, std::move(message), std::move(param)});
}

// A truth value, absent counting as false. False: it is something else.
bool read_flag(const json::object& from, std::string_view key, bool& out) {
  const json::value* value = api::find_member(from, key);
  if (value == nullptr) return true;
  if (!value->is_bool()) return false;
  out = value->get_bool();
  return true;
}

// Tokens that a choice lists one by one; nullopt: it does not.
std::optional<std::int64_t> listed_tokens(const json::object& choice) {
  const json::value* logprobs = api::find_member(choice, "logprobs");
  const json::object* object = logprobs == nullptr ? nullptr : logprobs->if_object();
  if (object == nullptr) return std::nullopt;
  for (const std::string_view key : {"content", "tokens"}) {
    const json::value* list = api::find_member(*object, key);
    if (list != nullptr && list->is_array()) return static_cast<std::int64_t>(list->get_array().size());
  }
  return std::nullopt;
}

std::optional<std::int64_t> count_listed(const json::object& answer) {
  const json::value* choices = api::find_member(answer, "choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return std::nullopt;
  std::int64_t total = 0;
  for (const json::value& choice : choices->get_array()) {
    const std::optional<std::int64_t> tokens = choice.is_object() ? listed_tokens(choice.get_object()) : std::nullopt;
    if (!tokens.has_value()) return std::nullopt;
    total += *tokens;
  }
  return total;
}

bool speaks_of_context(std::string_view body) {
  // vLLM: "This model's maximum context length is 8192 tokens. However, you requested ..."
  return body.find("maximum context length") != std::string_view::npos;
}

// llama-server without --embeddings: 501. vLLM with a model for text: no such route, or 400 "The model does not support
// Embeddings API". Ollama: "this model does not support embeddings".
bool has_no_vectors(int status, std::string_view body) {
  if (status == 404 || status == 405 || status == 501) return true;
  return body.find("not support") != std::string_view::npos && body.find("mbeddings") != std::string_view::npos;
}

}  // namespace

api::ApiError unreadable_answer() {
  return {api::ErrorCode::kInternalError, "The model's server sent an answer that cannot be read.", ""};
}

api::ApiResult<OutgoingCall> rewrite_call(std::string_view body, const ModelNames& names) {
  api::ApiResult<json::value> parsed = api::parse_strict_json(body);
  if (!parsed.has_value()) return tl::unexpected(parsed.error());
  json::object* request = parsed->if_object();
  if (request == nullptr) return invalid("The body must be a JSON object.", "");
  if (const json::value* model = api::find_member(*request, "model"); model != nullptr) {
    if (!model->is_string()) return invalid("A string is wanted.", "model");
    const std::string_view name = view(model->get_string());
    if (!name.empty() && name != names.served) {
      return tl::unexpected(api::ApiError{api::ErrorCode::kModelNotFound, {}, "model"});
    }
  }
  OutgoingCall out;
  if (!read_flag(*request, "stream", out.stream)) return invalid("true or false is wanted.", "stream");
  const json::value* options = api::find_member(*request, "stream_options");
  if (options != nullptr && !options->is_object()) return invalid("An object is wanted.", "stream_options");
  if (options != nullptr && (!read_flag(options->get_object(), "include_usage", out.include_usage) ||
                             !read_flag(options->get_object(), "continuous_usage_stats", out.continuous_usage))) {
    return invalid("true or false is wanted.", "stream_options");
  }
  json::object wanted = options == nullptr ? json::object() : options->get_object();  // before a new member moves it
  (*request)["model"] = names.upstream;
  if (out.stream) {
    wanted["include_usage"] = true;
    wanted["continuous_usage_stats"] = true;
    (*request)["stream_options"] = std::move(wanted);
  } else {
    request->erase("stream_options");  // an error without stream, for those who check
  }
  out.body = api::python_dumps(*parsed);
  return out;
}

std::string rename_model(std::string_view body, const ModelNames& names) {
  api::ApiResult<json::value> parsed = api::parse_strict_json(body);
  json::object* request = parsed.has_value() ? parsed->if_object() : nullptr;
  const json::value* model = request == nullptr ? nullptr : api::find_member(*request, "model");
  if (model == nullptr || !model->is_string() || view(model->get_string()) != names.served) return std::string(body);
  (*request)["model"] = names.upstream;
  return api::python_dumps(*parsed);
}

api::ApiResult<WholeAnswer> rewrite_answer(std::string_view body, const ModelNames& names) {
  std::optional<json::value> value = parse_peer_json(body);
  json::object* answer = value.has_value() ? value->if_object() : nullptr;
  if (answer == nullptr) return tl::unexpected(unreadable_answer());
  if (api::find_member(*answer, "error") != nullptr) return tl::unexpected(error_of_answer(500, body));
  if (answer->contains("model")) (*answer)["model"] = names.served;
  WholeAnswer out;
  if (const std::optional<api::Usage> usage = read_usage(*answer); usage.has_value()) {
    out.usage = *usage;
  } else if (const std::optional<std::int64_t> tokens = count_listed(*answer); tokens.has_value()) {
    out.usage.completion_tokens = *tokens;
    (*answer)["usage"] = usage_json(out.usage);
  }
  out.body = api::python_dumps(*value);
  return out;
}

api::ApiResult<WholeAnswer> rewrite_vectors(std::string_view body, const ModelNames& names) {
  Result<api::EmbeddingsAnswer> answer = api::rename_embeddings(body, names.served);
  if (!answer.has_value()) return tl::unexpected(unreadable_answer());
  WholeAnswer out;
  out.usage.prompt_tokens = answer->prompt_tokens;
  out.body = std::move(answer->body);
  return out;
}

api::ApiError error_of_vectors(int status, std::string_view body) {
  if (has_no_vectors(status, body)) {
    return {api::ErrorCode::kNotImplemented,
            "The server behind this model gives no embeddings: it has to be started with them (llama-server: "
            "--embeddings), or with a model that is made for them.",
            {}};
  }
  // llama-server: "input (900 tokens) is too large to process. increase the physical batch size".
  const bool is_long = body.find("too large to process") != std::string_view::npos;
  return is_long ? api::ApiError{api::ErrorCode::kContextLengthExceeded, {}, "input"} : error_of_answer(status, body);
}

api::ApiError error_of_answer(int status, std::string_view body) {
  const Result<api::ParsedChunk> parsed = api::parse_chunk(body);
  if (parsed.has_value() && parsed->error.has_value() && parsed->error->code != api::ErrorCode::kInternalError) {
    const api::ApiError& told = *parsed->error;
    const bool is_context = told.code == api::ErrorCode::kInvalidValue && speaks_of_context(body);
    return is_context ? api::ApiError{api::ErrorCode::kContextLengthExceeded, {}, {}} : told;
  }
  switch (status) {
    case 400:
    case 422:
      return {speaks_of_context(body) ? api::ErrorCode::kContextLengthExceeded : api::ErrorCode::kInvalidValue, {}, {}};
    case 404: return {api::ErrorCode::kNotFound, {}, {}};
    case 405: return {api::ErrorCode::kMethodNotAllowed, {}, {}};
    case 413: return {api::ErrorCode::kBodyTooLarge, {}, {}};
    case 415: return {api::ErrorCode::kUnsupportedMediaType, {}, {}};
    case 429:
    case 503: return {api::ErrorCode::kOverloaded, {}, {}};
    case 501: return {api::ErrorCode::kNotImplemented, {}, {}};
    case 408:
    case 504: return {api::ErrorCode::kGenerationTimeout, {}, {}};
    // 401 and 403 too: whoever is not let in there is us, not the caller.
    default: return {api::ErrorCode::kInternalError, {}, {}};
  }
}

std::string first_model(std::string_view body) {
  const std::optional<json::value> value = parse_peer_json(body);
  const json::object* list = value.has_value() ? value->if_object() : nullptr;
  const json::value* data = list == nullptr ? nullptr : api::find_member(*list, "data");
  if (data == nullptr || !data->is_array() || data->get_array().empty()) return {};
  const json::object* first = data->get_array().front().if_object();
  const json::value* id = first == nullptr ? nullptr : api::find_member(*first, "id");
  return id != nullptr && id->is_string() ? std::string(view(id->get_string())) : std::string();
}

}  // namespace dormouse::worker::adopt
