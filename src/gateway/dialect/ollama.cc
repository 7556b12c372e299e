#include "gateway/dialect/ollama.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "api/json_write.h"
#include "api/strict_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

// Calls of one answer, by their index; a stream of them is the worker's word, so it has a bound.
constexpr std::size_t kMostCalls = api::kMaxTools;

void append_key(std::string& out, std::string_view key) {
  if (out.back() != '{') out += ',';
  out.append("\"").append(key).append("\":");
}

void append_text(std::string& out, std::string_view key, std::string_view text) {
  append_key(out, key);
  api::append_json_string(out, text);
}

void append_number(std::string& out, std::string_view key, std::int64_t value) {
  append_key(out, key);
  api::append_json_int(out, value);
}

// One line without whitespace; nullopt: no JSON object.
std::optional<std::string> object_text(std::string_view arguments) {
  if (arguments.empty()) return "{}";
  const api::ApiResult<json::value> value = api::parse_strict_json(arguments);
  if (!value.has_value() || !value->is_object()) return std::nullopt;
  return json::serialize(*value);
}

std::int64_t nanoseconds(double s) {
  return std::llround(s * 1e9);
}

// What a line says.
struct Piece {
  std::string content;
  std::string thinking;
  std::vector<api::ToolCallDelta> calls;
};

// Moves calls that cannot be shown as calls to the text.
std::string calls_text(Piece& piece) {
  std::string out;
  int index = 0;
  for (const api::ToolCallDelta& call : piece.calls) {
    const std::optional<std::string> arguments = object_text(call.arguments);
    if (!arguments.has_value()) {
      piece.content.append(call.name).append(call.arguments);
      continue;
    }
    out += out.empty() ? "[{" : ",{";
    if (!call.id.empty()) append_text(out, "id", call.id);
    append_key(out, "function");
    out += '{';
    append_number(out, "index", index++);
    append_text(out, "name", call.name);
    append_key(out, "arguments");
    out.append(*arguments).append("}}");
  }
  if (!out.empty()) out += ']';
  return out;
}

// {"model","created_at", then what is said; not closed.
std::string begin_line(const OllamaHead& head, Piece piece) {
  const std::string calls = calls_text(piece);
  std::string out = "{";
  append_text(out, "model", head.model);
  append_text(out, "created_at", rfc3339(head.created));
  const bool is_chat = head.shape == OllamaShape::kChat;
  if (is_chat) {
    append_key(out, "message");
    out += '{';
    append_text(out, "role", "assistant");
  }
  append_text(out, is_chat ? "content" : "response", piece.content);
  if (!piece.thinking.empty()) append_text(out, "thinking", piece.thinking);
  if (is_chat && !calls.empty()) {
    append_key(out, "tool_calls");
    out += calls;
  }
  if (is_chat) out += '}';
  return out;
}

class OllamaAnswer final : public AnswerWriter {
 public:
  explicit OllamaAnswer(OllamaHead head) : head_(std::move(head)) {}

  [[nodiscard]] StreamForm form() const override { return {.content_type = kNdjson, .silence = " "}; }
  [[nodiscard]] std::string_view prompt_field() const override {
    return head_.shape == OllamaShape::kChat ? "messages" : "prompt";
  }

  std::string on_chunk(const api::ParsedChunk& chunk) override {
    std::string out;
    for (const api::Delta& delta : chunk.choices) {
      if (delta.index != 0) continue;
      collect(delta);
      if (!head_.is_stream) continue;
      if (delta.finish_reason.has_value()) said_.calls = std::exchange(calls_, {});
      if (said_.content.empty() && said_.thinking.empty() && said_.calls.empty()) continue;
      out += begin_line(head_, std::exchange(said_, {})) + ",\"done\":false}\n";
    }
    return out;
  }

  std::string closing(const AnswerSummary& summary) override { return whole(summary) + "\n"; }

  std::string whole(const AnswerSummary& summary) override {
    said_.calls = std::exchange(calls_, {});
    std::string out = begin_line(head_, std::exchange(said_, {}));
    out += ",\"done\":true";
    append_text(out, "done_reason", finish_reason_ == "length" ? "length" : "stop");
    append_number(out, "total_duration", nanoseconds(summary.total_s));
    append_number(out, "load_duration", nanoseconds(summary.wake_s));
    append_number(out, "prompt_eval_count", summary.usage.prompt_tokens);
    append_number(out, "prompt_eval_duration", nanoseconds(summary.prompt_s));
    append_number(out, "eval_count", summary.usage.completion_tokens);
    append_number(out, "eval_duration", nanoseconds(summary.generation_s - summary.prompt_s));
    return out + "}";
  }

  [[nodiscard]] std::string broken_off(const api::ApiError& error) const override { return ollama_error(error) + "\n"; }

  void reset() override {
    said_ = {};
    calls_.clear();
    finish_reason_.clear();
  }

 private:
  void collect(const api::Delta& delta) {
    said_.content += delta.content;
    said_.thinking += delta.reasoning_content;
    if (delta.finish_reason.has_value()) finish_reason_ = *delta.finish_reason;
    for (const api::ToolCallDelta& piece : delta.tool_calls) {
      const auto same = [&piece](const api::ToolCallDelta& call) { return call.index == piece.index; };
      const auto known = std::find_if(calls_.begin(), calls_.end(), same);
      if (known != calls_.end()) {
        known->arguments += piece.arguments;
      } else if (calls_.size() < kMostCalls) {
        calls_.push_back(piece);
      }
    }
  }

  const OllamaHead head_;
  Piece said_;  // not written yet
  std::vector<api::ToolCallDelta> calls_;
  std::string finish_reason_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_ollama_answer(OllamaHead head) {
  return std::make_unique<OllamaAnswer>(std::move(head));
}

std::string ollama_notice(const OllamaHead& head, std::string_view done_reason) {
  std::string out = begin_line(head, {});
  out += ",\"done\":true";
  append_text(out, "done_reason", done_reason);
  return out + "}";
}

std::string ollama_error(const api::ApiError& error) {
  std::string text = error.message.empty() ? std::string(api::row(error.code).text) : error.message;
  // Clients that wait and ask again look for these words.
  if (error.code == api::ErrorCode::kQueueFull) {
    text = "server busy, please try again.  maximum pending requests exceeded";
  }
  if (!error.param.empty() && text.find(error.param) == std::string::npos) {
    text = fmt::format("{}: {}", error.param, text);
  }
  std::string out = "{";
  append_text(out, "error", text);
  return out + "}";
}

std::string rfc3339(WallTime time) {
  using std::chrono::microseconds;
  const std::chrono::sys_time<microseconds> at{microseconds(time.us)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<microseconds> clock(at - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

}  // namespace dormouse::gateway
