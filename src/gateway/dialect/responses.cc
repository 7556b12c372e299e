#include "gateway/dialect/responses.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error_table.h"
#include "api/json_write.h"
#include "http/sse.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

std::string quoted(std::string_view text) {
  std::string out;
  api::append_json_string(out, text);
  return out;
}

// One item of the output: the last one grows, those before it are done.
struct Item {
  enum class Kind { kReasoning, kMessage, kCall };
  Kind kind = Kind::kMessage;
  int index = 0;  // of a call, as the worker counts them
  std::string id;
  std::string text;     // or a call's arguments
  std::string call_id;  // of a call
  std::string name;     // of a call
};

// The one part of a reasoning or a message.
std::string part_of(const Item& item, std::string_view text) {
  return item.kind == Item::Kind::kReasoning
             ? fmt::format(R"({{"type":"reasoning_text","text":{}}})", quoted(text))
             : fmt::format(R"({{"type":"output_text","annotations":[],"logprobs":[],"text":{}}})", quoted(text));
}

std::string item_json(const Item& item, std::string_view status) {
  const std::string head = fmt::format(R"({{"id":{},"status":"{}",)", quoted(item.id), status);
  const std::string content = status == "in_progress" ? "[]" : fmt::format("[{}]", part_of(item, item.text));
  switch (item.kind) {
    case Item::Kind::kReasoning:
      return head + fmt::format(R"("type":"reasoning","summary":[],"content":{}}})", content);
    case Item::Kind::kMessage:
      return head + fmt::format(R"("type":"message","role":"assistant","content":{}}})", content);
    case Item::Kind::kCall:
      return head + fmt::format(R"("type":"function_call","call_id":{},"name":{},"arguments":{}}})",
                                quoted(item.call_id), quoted(item.name),
                                quoted(status == "in_progress" ? "" : item.text));
  }
  return head + "}";
}

std::string usage_json(const api::Usage& usage) {
  return fmt::format(R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}}},"output_tokens":{},)"
                     R"("output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}})",
                     usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens,
                     usage.prompt_tokens + usage.completion_tokens);
}

class ResponsesAnswer final : public AnswerWriter {
 public:
  ResponsesAnswer(bool stream, api::ResponseHead head, std::string echo)
      : stream_(stream), head_(std::move(head)), echo_(std::move(echo)) {}

  std::string on_chunk(const api::ParsedChunk& chunk) override {
    std::string out = opening();
    for (const api::Delta& delta : chunk.choices) {
      if (delta.index != 0) continue;
      out += grow_text(Item::Kind::kReasoning, delta.reasoning_content);
      out += grow_text(Item::Kind::kMessage, delta.content);
      for (const api::ToolCallDelta& call : delta.tool_calls) out += grow_call(call);
      if (delta.finish_reason.has_value()) finish_reason_ = *delta.finish_reason;
    }
    return stream_ ? out : std::string();
  }

  [[nodiscard]] std::string_view prompt_field() const override { return "input"; }
  // OpenAI's error event; its client throws because of the `error` that we add, and only yields the event without.
  [[nodiscard]] std::string broken_off(const api::ApiError& error) const override {
    const json::object body = json::parse(api::error_body(error)).as_object();
    json::object event{{"type", "error"}, {"sequence_number", sequence_}};
    for (const std::string_view key : {"code", "message", "param"}) event[key] = body.at("error").at(key);
    event["error"] = body.at("error");
    return http::sse_named("error", json::serialize(event));
  }

  std::string closing(const AnswerSummary& summary) override {
    std::string out = opening();
    // An answer of no token is a message of no text: clients look for one.
    if (items_.empty()) out += open(Item::Kind::kMessage);
    out += close_last();
    const std::string_view type = is_cut() ? "response.incomplete" : "response.completed";
    return out + event(type, R"("response":)" + response(end_status(), summary.usage));
  }

  std::string whole(const AnswerSummary& summary) override {
    if (items_.empty()) add_item(Item::Kind::kMessage, {});
    return response(end_status(), summary.usage);
  }

  void reset() override {
    items_.clear();
    finish_reason_.clear();
    sequence_ = 0;
    is_open_ = false;
  }

 private:
  [[nodiscard]] bool is_cut() const { return finish_reason_ == "length"; }
  [[nodiscard]] std::string_view end_status() const { return is_cut() ? "incomplete" : "completed"; }

  std::string event(std::string_view type, const std::string& members) {
    return http::sse_named(type, fmt::format(R"({{"type":"{}","sequence_number":{},{}}})", type, sequence_++, members));
  }

  std::string opening() {
    if (sequence_ > 0) return {};
    const std::string started = R"("response":)" + response("in_progress", std::nullopt);
    std::string out = event("response.created", started);
    return out + event("response.in_progress", started);
  }

  // `"item_id":...,"output_index":...` of the last item, and `"content_index":0` where it has parts.
  [[nodiscard]] std::string place() const {
    const std::string_view part = items_.back().kind == Item::Kind::kCall ? "" : R"(,"content_index":0)";
    return fmt::format(R"("item_id":{},"output_index":{}{})", quoted(items_.back().id), items_.size() - 1, part);
  }

  void add_item(Item::Kind kind, const api::ToolCallDelta& call) {
    static constexpr std::string_view kPrefixes[] = {"rs", "msg", "fc"};
    Item item;
    item.kind = kind;
    item.index = call.index;
    item.id = fmt::format("{}_{}_{}", kPrefixes[static_cast<std::size_t>(kind)], head_.id, items_.size());
    item.call_id = call.id;
    item.name = call.name;
    items_.push_back(std::move(item));
  }

  std::string open(Item::Kind kind, const api::ToolCallDelta& call = {}) {
    std::string out = close_last();
    add_item(kind, call);
    is_open_ = true;
    const Item& last = items_.back();
    out += event("response.output_item.added",
                 fmt::format(R"("output_index":{},"item":{})", items_.size() - 1, item_json(last, "in_progress")));
    if (kind == Item::Kind::kCall) return out;
    return out + event("response.content_part.added", place() + R"(,"part":)" + part_of(last, ""));
  }

  std::string grow(std::string_view text) {
    items_.back().text += text;
    const std::string delta = fmt::format(R"({},"delta":{})", place(), quoted(text));
    switch (items_.back().kind) {
      case Item::Kind::kReasoning: return event("response.reasoning_text.delta", delta);
      case Item::Kind::kMessage: return event("response.output_text.delta", delta + R"(,"logprobs":[])");
      case Item::Kind::kCall: return event("response.function_call_arguments.delta", delta);
    }
    return {};
  }

  std::string grow_text(Item::Kind kind, std::string_view text) {
    if (text.empty()) return {};
    std::string out;
    if (items_.empty() || items_.back().kind != kind) out = open(kind);
    return out + grow(text);
  }

  // Id and name come with a call's first piece, which may have no arguments yet.
  std::string grow_call(const api::ToolCallDelta& piece) {
    std::string out;
    const bool is_new = items_.empty() || items_.back().kind != Item::Kind::kCall || items_.back().index != piece.index;
    if (is_new) out = open(Item::Kind::kCall, piece);
    return piece.arguments.empty() ? out : out + grow(piece.arguments);
  }

  std::string close_last() {
    if (!std::exchange(is_open_, false)) return {};
    const Item& item = items_.back();
    std::string out;
    const std::string at = place();
    switch (item.kind) {
      case Item::Kind::kReasoning:
        out = event("response.reasoning_text.done", fmt::format(R"({},"text":{})", at, quoted(item.text)));
        break;
      case Item::Kind::kMessage:
        out = event("response.output_text.done", fmt::format(R"({},"text":{},"logprobs":[])", at, quoted(item.text)));
        break;
      case Item::Kind::kCall:
        out = event("response.function_call_arguments.done",
                    fmt::format(R"({},"name":{},"arguments":{})", at, quoted(item.name), quoted(item.text)));
        break;
    }
    if (item.kind != Item::Kind::kCall) {
      out += event("response.content_part.done", at + R"(,"part":)" + part_of(item, item.text));
    }
    return out + event("response.output_item.done",
                       fmt::format(R"("output_index":{},"item":{})", items_.size() - 1, item_json(item, end_status())));
  }

  // usage: once the answer is whole, and with it the output.
  [[nodiscard]] std::string response(std::string_view status, const std::optional<api::Usage>& usage) const {
    std::string output;
    for (const Item& item : items_) {
      if (!usage.has_value()) break;
      const bool is_last = &item == &items_.back();
      output += (output.empty() ? "" : ",") + item_json(item, is_last ? status : "completed");
    }
    return fmt::format(
        R"({{"id":{},"object":"response","created_at":{},"status":"{}","error":null,"incomplete_details":{},)"
        R"("model":{},"output":[{}],"usage":{},{}}})",
        quoted("resp_" + head_.id), head_.created, status,
        status == "incomplete" ? R"({"reason":"max_output_tokens"})" : "null", quoted(head_.model), output,
        usage.has_value() ? usage_json(*usage) : "null", echo_);
  }

  const bool stream_;
  const api::ResponseHead head_;
  const std::string echo_;
  std::vector<Item> items_;
  bool is_open_ = false;  // the last one
  std::string finish_reason_;
  std::int64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_responses_answer(bool stream, api::ResponseHead head, std::string echo) {
  return std::make_unique<ResponsesAnswer>(stream, std::move(head), std::move(echo));
}

}  // namespace dormouse::gateway
