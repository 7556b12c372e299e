#include "gateway/dialect/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <limits>
#include <utility>

#include "api/fields.h"
#include "api/json_write.h"
#include "api/response_format_json.h"
#include "api/strict_json.h"
#include "http/sse.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

api::ApiError invalid(std::string param, std::string message) {
  return api::ApiError{api::ErrorCode::kInvalidValue, std::move(message), std::move(param)};
}

api::Message text_message(std::string role, std::string content) {
  api::Message out;
  out.role = std::move(role);
  out.content = std::move(content);
  return out;
}

// The body itself is bounded at 8 MiB by the server.
constexpr std::size_t kMaxSystemBytes = 8U << 20;

struct Extras {
  bool raw = false;
  std::optional<bool> thinking;
  std::optional<std::int64_t> thinking_budget;
  std::optional<std::string> system;
  api::ResponseFormat format;
};

api::ApiResult<Extras> read_extras(std::string_view body) {
  const api::ApiResult<json::value> root = api::parse_strict_json(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  const json::object* object = root->if_object();
  if (object == nullptr) return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidJson, {}, {}});
  api::Problem problem;
  const api::Fields fields(*object, "", problem);
  Extras out;
  out.raw = fields.boolean("raw").value_or(false);
  out.thinking = fields.boolean("thinking");
  out.thinking_budget = fields.integer("thinking_budget", {.min = 0, .max = std::numeric_limits<std::int32_t>::max()});
  out.system = fields.string("system", kMaxSystemBytes);
  out.format = api::read_short_format(fields, "format");
  if (problem.found()) return tl::unexpected(problem.error());
  return out;
}

// A number a person reads: "0.1235", not "1.235E-1". Six decimals are a microsecond.
std::string plain(double value) {
  std::string out = fmt::format("{:.6f}", value);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out += '0';
  return out;
}

// {"name":"text" or ,"name":"text"
void append_text(std::string& out, std::string_view name, std::string_view text) {
  out += out.empty() ? "{\"" : ",\"";
  out.append(name).append("\":");
  api::append_json_string(out, text);
}

// A person reads it, and six decimals are all there is.
std::string cost_text(const Money& cost) {
  return fmt::format(R"(,"cost":{}.{:06},"currency":"{}")", cost.micros / 1'000'000, cost.micros % 1'000'000,
                     cost.currency);
}

std::string numbers(const AnswerSummary& summary) {
  const auto tokens = static_cast<double>(summary.usage.completion_tokens);
  return fmt::format(R"(,"generation_time":{},"tokens_per_second":{},"prompt_tokens":{},"completion_tokens":{},)"
                     R"("wake_time":{},"time_to_first_token":{})",
                     plain(summary.generation_s), plain(summary.generation_s > 0 ? tokens / summary.generation_s : 0),
                     summary.usage.prompt_tokens, summary.usage.completion_tokens, plain(summary.wake_s),
                     plain(summary.first_token_s)) +
         (summary.cost.has_value() ? cost_text(*summary.cost) : std::string());
}

class GenerateAnswer final : public AnswerWriter {
 public:
  GenerateAnswer(bool stream, std::string model, std::string request_id)
      : stream_(stream), model_(std::move(model)), request_id_(std::move(request_id)) {}

  [[nodiscard]] std::string_view prompt_field() const override { return "prompt"; }

  std::string on_chunk(const api::ParsedChunk& chunk) override {
    std::string out;
    for (const api::Delta& delta : chunk.choices) {
      collector_.add(delta);
      if (!stream_ || delta.index != 0 || (delta.content.empty() && delta.reasoning_content.empty())) continue;
      std::string piece;
      append_text(piece, "text", delta.content);
      if (!delta.reasoning_content.empty()) append_text(piece, "thinking", delta.reasoning_content);
      out += http::sse_data(piece + "}");
    }
    return out;
  }

  std::string closing(const AnswerSummary& summary) override {
    std::string last;
    append_text(last, "text", "");
    last += ",\"done\":true";
    finish(last, summary);
    return http::sse_data(last).append(http::kSseDone);
  }

  std::string whole(const AnswerSummary& summary) override {
    const api::Delta answer = collector_.choices().empty() ? api::Delta{} : collector_.choices()[0];
    std::string body;
    append_text(body, "text", answer.content);
    if (!answer.reasoning_content.empty()) append_text(body, "thinking", answer.reasoning_content);
    finish(body, summary);
    return body;
  }

  void reset() override { collector_.clear(); }

 private:
  void finish(std::string& out, const AnswerSummary& summary) const {
    out += numbers(summary);
    const auto& choices = collector_.choices();
    append_text(out, "finish_reason", choices.empty() ? "stop" : choices[0].finish_reason.value_or("stop"));
    append_text(out, "model", model_);
    append_text(out, "request_id", request_id_);
    out += '}';
  }

  const bool stream_;
  const std::string model_;
  const std::string request_id_;
  ChoiceCollector collector_;
};

}  // namespace

api::ApiResult<api::GenerationRequest> parse_generate_request(std::string_view body) {
  api::ApiResult<api::GenerationRequest> parsed = api::parse_completion_request(body);
  if (!parsed.has_value()) return parsed;
  const api::ApiResult<Extras> extras = read_extras(body);
  if (!extras.has_value()) return tl::unexpected(extras.error());
  api::GenerationRequest request = *std::move(parsed);
  constexpr std::array<std::string_view, 5> kOurs{"raw", "thinking", "thinking_budget", "system", "format"};
  std::erase_if(request.ignored_fields, [&kOurs](const std::string& field) {
    return std::find(kOurs.begin(), kOurs.end(), field) != kOurs.end();
  });
  if (request.n != 1) return tl::unexpected(invalid("n", "must be 1 here; /v1/completions takes more"));
  if (extras->format.kind != api::ResponseFormat::Kind::kText) {
    if (request.format.kind != api::ResponseFormat::Kind::kText) {
      return tl::unexpected(invalid("format", "says it twice: response_format is there, too"));
    }
    request.format = extras->format;
  }
  request.echo = false;
  request.stream_options = {};
  request.sampling.logprobs = false;
  request.sampling.top_logprobs = 0;
  if (extras->raw) {
    if (extras->system.has_value()) return tl::unexpected(invalid("system", "has no place in a raw prompt"));
    if (extras->thinking.value_or(false)) return tl::unexpected(invalid("thinking", "has no place in a raw prompt"));
    if (extras->thinking_budget.has_value()) {
      return tl::unexpected(invalid("thinking_budget", "has no place in a raw prompt"));
    }
    return request;
  }
  if (!request.prompt_tokens.empty()) return tl::unexpected(invalid("prompt", "token ids need \"raw\": true"));
  request.kind = api::GenerationRequest::Kind::kChat;
  if (extras->system.has_value()) request.messages.push_back(text_message("system", *extras->system));
  request.messages.push_back(text_message("user", std::exchange(request.prompt, {})));
  request.thinking_budget = extras->thinking_budget;
  request.enable_thinking = extras->thinking.value_or(extras->thinking_budget.value_or(0) > 0);
  return request;
}

std::unique_ptr<AnswerWriter> make_generate_answer(bool stream, std::string model, std::string request_id) {
  return std::make_unique<GenerateAnswer>(stream, std::move(model), std::move(request_id));
}

}  // namespace dormouse::gateway
