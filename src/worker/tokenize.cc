// POST /tokenize and /detokenize, in vLLM's shapes: {"prompt"} or {"messages"} -> {"count","max_model_len","tokens"};
// {"tokens"} -> {"prompt"}.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "worker/service.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;

// More than any context: what is longer is not a list of tokens of one text.
constexpr std::size_t kMaxTokens = 1U << 20;

api::ApiError error_of(api::ErrorCode code, std::string param = {}) {
  return {.code = code, .message = {}, .param = std::move(param)};
}

// An object in the body, the model ours and loaded.
api::ApiResult<json::value> read_body(const Reply& reply) {
  api::ApiResult<json::value> body = api::parse_strict_json(reply.exchange.request().body);
  if (!body.has_value()) return body;
  if (!body->is_object()) return tl::unexpected(error_of(api::ErrorCode::kInvalidJson));
  if (reply.service.state == ServiceState::kLoading) return tl::unexpected(error_of(api::ErrorCode::kModelLoading));
  const json::value* const model = api::find_member(body->get_object(), "model");
  if (model != nullptr && (!model->is_string() || !is_served(reply.service, std::string_view(model->get_string())))) {
    return tl::unexpected(error_of(api::ErrorCode::kModelNotFound, "model"));
  }
  return body;
}

api::ApiResult<std::string> tokenize(const Reply& reply) {
  api::ApiResult<json::value> body = read_body(reply);
  if (!body.has_value()) return tl::unexpected(body.error());
  const json::object& object = body->get_object();
  const bool is_chat = api::find_member(object, "messages") != nullptr;
  const json::value* const strings = api::find_member(object, "return_token_strs");
  const std::string& text = reply.exchange.request().body;
  const api::ApiResult<api::GenerationRequest> request =
      is_chat ? api::parse_chat_request(text) : api::parse_completion_request(text);
  if (!request.has_value()) return tl::unexpected(request.error());
  const ModelView& model = reply.service.model;
  const api::ApiResult<std::vector<text::TokenId>> tokens = encode_prompt(model, *request);
  if (!tokens.has_value()) return tl::unexpected(tokens.error());
  json::object out;
  out["count"] = tokens->size();
  out["max_model_len"] = model.context_length;
  out["tokens"] = json::array(tokens->begin(), tokens->end());
  out["token_strs"] = nullptr;
  if (strings != nullptr && strings->is_bool() && strings->get_bool()) {
    json::array names;
    for (const text::TokenId id : *tokens) {
      text::Utf8Stream stream;
      const std::vector<text::TokenId> one{id};
      std::string name = stream.push(model.tokenizer->decode(one));
      name += stream.finish();
      names.emplace_back(std::move(name));
    }
    out["token_strs"] = std::move(names);
  }
  return json::serialize(out);
}

api::ApiResult<std::string> detokenize(const Reply& reply) {
  api::ApiResult<json::value> body = read_body(reply);
  if (!body.has_value()) return tl::unexpected(body.error());
  api::Problem problem;
  const api::Fields fields(body->get_object(), "", problem);
  const json::array* const list = fields.array("tokens", kMaxTokens);
  if (list == nullptr && !problem.found()) fields.refuse("tokens", "A list of token ids is needed.");
  std::vector<text::TokenId> tokens;
  const ModelView& model = reply.service.model;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const std::optional<std::int64_t> id = api::as_integer((*list)[i]);
    if (!id.has_value() || *id < 0 || *id >= model.tokenizer->first_padding_id()) {
      fields.refuse("tokens", "There is no such token.");
      break;
    }
    tokens.push_back(static_cast<text::TokenId>(*id));
  }
  if (problem.found()) return tl::unexpected(problem.error());
  // Half a character at either end of a slice is no reason to answer with broken JSON.
  text::Utf8Stream stream;
  std::string text = stream.push(model.tokenizer->decode(tokens));
  text += stream.finish();
  json::object out;
  out["prompt"] = std::move(text);
  return json::serialize(out);
}

Task<void> answer(const Reply& reply, api::ApiResult<std::string> body) {
  if (body.has_value()) {
    std::string text = *std::move(body);
    co_await send_json(reply, 200, std::move(text));
  } else {
    api::ApiError error = body.error();
    co_await send_error(reply, std::move(error));
  }
}

}  // namespace

Task<void> handle_tokenize(const Reply& reply) {
  api::ApiResult<std::string> body = tokenize(reply);
  co_await answer(reply, std::move(body));
}

Task<void> handle_detokenize(const Reply& reply) {
  api::ApiResult<std::string> body = detokenize(reply);
  co_await answer(reply, std::move(body));
}

}  // namespace dormouse::worker
