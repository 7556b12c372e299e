// What an answer is held to that has to call a tool: one or more of
//   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>
// where the arguments are an instance of that tool's parameters. The tags have to be the model's own tokens, which no
// byte of text tells from a tag that is spelt out; so that a grammar can ask for them they are given bytes here that no
// text has. PURE.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"
#include "base/result.h"
#include "grammar/grammar.h"
#include "text/tokenizer.h"

namespace dormouse::worker {

// Of an answer whose caller wants several in parallel: a model of random weights would never stop.
inline constexpr std::uint64_t kMaxForcedCalls = 8;

// Each token's bytes as grammars see them: the tags of a call as said above; <think> and </think> none, since content
// opens no thoughts; and none for tokens with a byte 0xFF, which is in no UTF-8 and here begins a tag.
[[nodiscard]] std::vector<std::string_view> grammar_bytes(const text::Tokenizer& tokenizer);

// `tools` and `choice` as in api::GenerationRequest; the choice is not kAuto. Errors: kInvalidArgument (parameters that
// are no schema of the subset, a name that JSON would escape; the message begins with the place:
// "tools[1].function..."); kTooLarge.
Result<std::shared_ptr<const grammar::Grammar>> compile_tool_calls(const std::vector<std::string>& tools,
                                                                   const api::ToolChoice& choice,
                                                                   std::uint64_t most_calls);

}  // namespace dormouse::worker
