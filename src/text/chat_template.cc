#include "text/chat_template.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/check.h"
#include "text/python_json.h"

namespace dormouse::text {

namespace {

constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kThinkBegin = "<think>";

enum class Role { kSystem, kUser, kAssistant, kTool };

std::optional<Role> parse_role(std::string_view role) {
  if (role == "system") return Role::kSystem;
  if (role == "user") return Role::kUser;
  if (role == "assistant") return Role::kAssistant;
  if (role == "tool") return Role::kTool;
  return std::nullopt;
}

// Python's str.lstrip('\n'), rstrip('\n'), strip('\n').
std::string_view left_strip(std::string_view text) {
  const std::size_t begin = text.find_first_not_of('\n');
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin);
}
std::string_view right_strip(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}
std::string_view strip(std::string_view text) {
  return right_strip(left_strip(text));
}

// text.split(separator)[0] and [-1].
std::string_view before_first(std::string_view text, std::string_view separator) {
  return text.substr(0, text.find(separator));
}
std::string_view after_last(std::string_view text, std::string_view separator) {
  const std::size_t at = text.rfind(separator);
  return at == std::string_view::npos ? text : text.substr(at + separator.size());
}

class Writer {
 public:
  // Neighbours of one kind become one piece.
  void literal(std::string_view text) { append(text, SpecialTokens::kParse); }
  void given(std::string_view text) { append(text, SpecialTokens::kAsText); }
  [[nodiscard]] std::vector<Piece> take() { return std::move(pieces_); }

 private:
  void append(std::string_view text, SpecialTokens special) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().special != special) pieces_.push_back({.text = {}, .special = special});
    pieces_.back().text.append(text);
  }

  std::vector<Piece> pieces_;
};

void write_head(const ChatRequest& request, Writer& out) {
  const ChatMessage& first = request.messages.front();
  const bool has_system = first.role == "system";
  if (request.tools.empty()) {
    if (!has_system) return;
    out.literal("<|im_start|>system\n");
    out.given(first.content);
    out.literal("<|im_end|>\n");
    return;
  }
  out.literal("<|im_start|>system\n");
  if (has_system) {
    out.given(first.content);
    out.literal("\n\n");
  }
  out.literal(
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
      "You are provided with function signatures within <tools></tools> XML tags:\n<tools>");
  for (const std::string& tool : request.tools) {
    out.literal("\n");
    out.given(tool);
  }
  out.literal(
      "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
      "<tool_call></tool_call> XML tags:\n<tool_call>\n"
      "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n");
}

// The last message a user really asked: tool results also travel as user turns. None: the last message.
std::size_t last_query_index(const std::vector<ChatMessage>& messages) {
  for (std::size_t i = messages.size(); i-- > 0;) {
    const std::string& content = messages[i].content;
    const bool is_tool_result = content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role == "user" && !is_tool_result) return i;
  }
  return messages.size() - 1;
}

Status write_tool_calls(const std::vector<ToolCall>& calls, bool after_content, Writer& out) {
  bool needs_break = after_content;
  for (const ToolCall& call : calls) {
    if (needs_break) out.literal("\n");
    needs_break = true;
    out.literal("<tool_call>\n{\"name\": \"");
    out.given(call.name);
    out.literal("\", \"arguments\": ");
    if (call.arguments_is_string) {
      out.given(call.arguments);
    } else {
      TRY(const std::string arguments, python_json(call.arguments));
      out.given(arguments);
    }
    out.literal("}\n</tool_call>");
  }
  return {};
}

enum class Turn { kBeforeQuery, kAfterQuery, kLast };

Status write_assistant(const ChatMessage& message, Turn turn, Writer& out) {
  std::string_view content = message.content;
  std::string_view reasoning;
  if (message.reasoning_content) {
    reasoning = *message.reasoning_content;
  } else if (content.find(kThinkEnd) != std::string_view::npos) {
    reasoning = left_strip(after_last(right_strip(before_first(content, kThinkEnd)), kThinkBegin));
    content = left_strip(after_last(content, kThinkEnd));
  }
  out.literal("<|im_start|>assistant\n");
  // Thinking of earlier questions is dropped; of the current one it stays.
  if (turn == Turn::kLast || (turn == Turn::kAfterQuery && !reasoning.empty())) {
    out.literal("<think>\n");
    out.given(strip(reasoning));
    out.literal("\n</think>\n\n");
    out.given(left_strip(content));
  } else {
    out.given(content);
  }
  TRY_STATUS(write_tool_calls(message.tool_calls, !content.empty(), out));
  out.literal("<|im_end|>\n");
  return {};
}

void write_tool_result(const std::vector<ChatMessage>& messages, std::size_t index, Writer& out) {
  const bool is_first = index == 0 || messages[index - 1].role != "tool";
  const bool is_last = index + 1 == messages.size() || messages[index + 1].role != "tool";
  if (is_first) out.literal("<|im_start|>user");
  out.literal("\n<tool_response>\n");
  out.given(messages[index].content);
  out.literal("\n</tool_response>");
  if (is_last) out.literal("<|im_end|>\n");
}

void write_generation_prompt(TemplateFamily family, bool enable_thinking, Writer& out) {
  out.literal("<|im_start|>assistant\n");
  switch (family) {
    case TemplateFamily::kHybrid:
      if (!enable_thinking) out.literal("<think>\n\n</think>\n\n");
      return;
    case TemplateFamily::kInstruct2507: return;
    case TemplateFamily::kThinking2507: out.literal("<think>\n"); return;
  }
}

}  // namespace

TemplateChoice detect_template(std::string_view jinja) {
  const auto has = [&](std::string_view text) { return jinja.find(text) != std::string_view::npos; };
  TemplateChoice choice;
  choice.recognised = has("<|im_start|>") && has("<tool_response>") && has("last_query_index");
  if (has("enable_thinking")) {
    choice.family = TemplateFamily::kHybrid;
  } else if (has("<|im_start|>assistant\\n<think>\\n'")) {  // the escapes as written in the template
    choice.family = TemplateFamily::kThinking2507;
  }
  return choice;
}

Result<std::vector<Piece>> render_chat(TemplateFamily family, const ChatRequest& request) {
  const std::vector<ChatMessage>& messages = request.messages;
  if (messages.empty()) return make_error(Code::kInvalidArgument, "messages: empty");
  Writer out;
  write_head(request, out);
  const std::size_t query = last_query_index(messages);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const std::optional<Role> role = parse_role(message.role);
    if (!role) return make_error(Code::kInvalidArgument, "messages: a role other than system, user, assistant, tool");
    switch (*role) {
      case Role::kSystem:
        if (i == 0) break;  // in the head already
        out.literal("<|im_start|>system\n");
        out.given(message.content);
        out.literal("<|im_end|>\n");
        break;
      case Role::kUser:
        out.literal("<|im_start|>user\n");
        out.given(message.content);
        out.literal("<|im_end|>\n");
        break;
      case Role::kAssistant: {
        Turn turn = Turn::kBeforeQuery;
        if (i > query) turn = i + 1 == messages.size() ? Turn::kLast : Turn::kAfterQuery;
        TRY_STATUS(write_assistant(message, turn, out));
        break;
      }
      case Role::kTool: write_tool_result(messages, i, out); break;
    }
  }
  if (request.add_generation_prompt) write_generation_prompt(family, request.enable_thinking, out);
  return out.take();
}

std::optional<std::vector<TokenId>> encode_pieces_at_most(std::size_t max_ids, const Tokenizer& tokenizer,
                                                          const std::vector<Piece>& pieces) {
  // Text between two added tokens is cut by the regular expression as a whole, across pieces ("user\n" + "\nHi"), as it
  // would be in one string; added tokens are looked for inside template pieces only.
  std::vector<TokenId> ids;
  std::string plain;
  for (const Piece& piece : pieces) {
    std::size_t begin = 0;
    if (piece.special == SpecialTokens::kParse) {
      while (const auto added = tokenizer.next_added(piece.text, begin)) {
        plain.append(piece.text, begin, added->begin - begin);
        if (!tokenizer.encode_at_most(max_ids, plain, SpecialTokens::kAsText, ids)) return std::nullopt;
        plain.clear();
        ids.push_back(added->id);
        begin = added->begin + added->size;
      }
    }
    plain.append(piece.text, begin);
  }
  if (!tokenizer.encode_at_most(max_ids, plain, SpecialTokens::kAsText, ids)) return std::nullopt;
  return ids;
}

std::vector<TokenId> encode_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces) {
  auto ids = encode_pieces_at_most(SIZE_MAX, tokenizer, pieces);
  CHECK(ids.has_value());  // there is no limit to break
  return *std::move(ids);
}

std::string join(const std::vector<Piece>& pieces) {
  std::string out;
  for (const Piece& piece : pieces) out.append(piece.text);
  return out;
}

}  // namespace dormouse::text
