// Renders a conversation exactly as the model's own Jinja template would, for the three Qwen3 families; no template
// engine, and no template from a request, ever (reliability notes S-10). The result is a list of pieces because only
// template text may hold control tokens: what a user wrote is encoded with SpecialTokens::kAsText.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace dormouse::text {

enum class TemplateFamily {
  kHybrid,        // Qwen3 (2504): thinking on request, `enable_thinking`
  kInstruct2507,  // never thinks
  kThinking2507,  // always thinks; output starts inside <think>
};

// Recognised by what the template text does; unknown templates are kInstruct2507-like ChatML with a warning by the
// caller.
struct TemplateChoice {
  TemplateFamily family = TemplateFamily::kInstruct2507;
  bool recognised = false;
};
[[nodiscard]] TemplateChoice detect_template(std::string_view jinja);

struct ToolCall {
  std::string name;
  // JSON text of the arguments. `arguments_is_string` says whether the caller sent a JSON string (inserted verbatim) or
  // an object (any JSON text of it; inserted as Python's json.dumps(ensure_ascii=False) writes it: python_json.h).
  std::string arguments;
  bool arguments_is_string = true;
};

struct ChatMessage {
  std::string role;  // system | user | assistant | tool  (developer is mapped to system by the caller)
  std::string content = {};
  std::optional<std::string> reasoning_content = std::nullopt;
  std::vector<ToolCall> tool_calls = {};
};

struct ChatRequest {
  std::vector<ChatMessage> messages;
  std::vector<std::string> tools;  // each one tool object, in json.dumps form (python_json.h makes it)
  bool enable_thinking = true;     // only kHybrid looks at it
  bool add_generation_prompt = true;
};

struct Piece {
  std::string text;
  SpecialTokens special = SpecialTokens::kAsText;
};

// Errors: kInvalidArgument (no messages, unknown role, an arguments object that is not JSON).
[[nodiscard]] Result<std::vector<Piece>> render_chat(TemplateFamily family, const ChatRequest& request);
// The ids of the whole prompt: the same as encoding join(pieces) with kParse, except that what looks like an added
// token in a kAsText piece stays text.
[[nodiscard]] std::vector<TokenId> encode_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces);
// Nothing if there are more than `max_ids`; see Tokenizer::encode_at_most.
[[nodiscard]] std::optional<std::vector<TokenId>> encode_pieces_at_most(std::size_t max_ids, const Tokenizer& tokenizer,
                                                                        const std::vector<Piece>& pieces);
[[nodiscard]] std::string join(const std::vector<Piece>& pieces);  // for the tests against Jinja

}  // namespace dormouse::text
