// The OpenAI dialect's request and answer as native types, parsed once, validated, and written back: what both towers
// speak. No JSON type leaves api/*.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/error_table.h"
#include "api/response_format.h"

namespace dormouse::api {

// Value or an error for the client.
template <typename T>
using ApiResult = tl::expected<T, ApiError>;

inline constexpr int kMaxJsonDepth = 64;
inline constexpr int kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 1024;
inline constexpr int kMaxChoices = 8;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxCompletionLogprobs = 20;  // OpenAI's own bound is 5, vLLM's 20
inline constexpr std::size_t kMaxMessages = 4096;
inline constexpr std::size_t kMaxTools = 128;
inline constexpr std::size_t kMaxPromptTokens = 1U << 20;   // of a prompt given as ids
inline constexpr std::size_t kMaxNameBytes = 256;           // model, tool and tool-call names and ids
inline constexpr std::size_t kMaxLogitBias = 1024;
// A logit divided by next to nothing leaves float's range. Nobody rewards repetition a hundredfold.
inline constexpr double kMinRepetitionPenalty = 0.01;
// What the levels of reasoning_effort come to in tokens, by our choice; high and xhigh have no budget.
inline constexpr std::int64_t kLowEffortTokens = 1024;
inline constexpr std::int64_t kMediumEffortTokens = 8192;
inline constexpr std::size_t kMaxIgnoredFields = 32;        // listed; more are dropped

// Absent means "the model's recommended default for its mode".
struct SamplingParams {
  std::optional<double> temperature;         // 0..2
  std::optional<double> top_p;               // (0, 1]
  std::optional<std::int64_t> top_k;         // 0 or -1: off
  std::optional<double> min_p;               // 0..1
  std::optional<double> repetition_penalty;  // kMinRepetitionPenalty..2
  std::optional<double> presence_penalty;    // -2..2
  std::optional<double> frequency_penalty;   // -2..2
  std::map<std::int32_t, double> logit_bias; // -100..100
  std::optional<std::uint64_t> seed;         // any int64, as bits
  std::optional<std::int64_t> max_tokens;    // >= 1
  std::vector<std::string> stop;
  bool logprobs = false;
  int top_logprobs = 0;  // 0..20
  bool ignore_eos = false;  // vLLM's name; benchmarks need it

  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text; as json.dumps writes it where the client sent an object
  bool arguments_is_string = true;

  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

struct Message {
  std::string role;  // system | user | assistant | tool (developer becomes system)
  std::string content;
  std::optional<std::string> reasoning_content;
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;  // role tool; templates do not show it, upstreams want it back

  friend bool operator==(const Message&, const Message&) = default;
};

// Which tool an answer must call. kAuto: the model decides.
struct ToolChoice {
  enum class Kind { kAuto, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name;  // kNamed

  friend bool operator==(const ToolChoice&, const ToolChoice&) = default;
};

struct StreamOptions {
  bool include_usage = false;
  bool continuous_usage_stats = false;

  friend bool operator==(const StreamOptions&, const StreamOptions&) = default;
};

// One of chat (messages) or completion (prompt).
struct GenerationRequest {
  enum class Kind { kChat, kCompletion };
  Kind kind = Kind::kChat;
  std::string model;
  std::vector<Message> messages;            // kChat
  std::vector<std::string> tools;           // kChat; each tool object as json.dumps writes it
  ToolChoice tool_choice;                   // kChat, with tools
  bool parallel_tool_calls = true;          // kChat, with tools; false: one call an answer
  std::optional<bool> enable_thinking;      // chat_template_kwargs.enable_thinking
  std::optional<std::int64_t> thinking_budget;  // kChat: most tokens of reasoning; >= 0
  std::string prompt;                       // kCompletion, text form
  std::vector<std::int32_t> prompt_tokens;  // kCompletion, token form
  bool echo = false;                        // kCompletion
  int n = 1;
  bool stream = false;
  StreamOptions stream_options;
  SamplingParams sampling;
  ResponseFormat format;
  std::vector<std::string> ignored_fields;  // unknown to us: counted, never an error

  friend bool operator==(const GenerationRequest&, const GenerationRequest&) = default;
};

// Strict on types and ranges, quiet on unknown fields. Checks UTF-8, depth, duplicate keys. What is not obvious:
//   null means absent everywhere. An integer may be written 5.0 (some languages have only doubles), never 5.5 or "5".
//   `model` may be absent (empty here): whose default that is, is for the caller to say.
//   Text parts of a content array are joined by a newline, as vLLM and llama-server do; other parts are refused.
//   max_completion_tokens wins over max_tokens. Stops may not be empty strings.
//   Thinking: chat_template_kwargs.enable_thinking, else enable_thinking, else what the budget says (0 is off), else
//   reasoning_effort: none and minimal are off, low, medium, high and xhigh are on.
//   Its budget: thinking_budget, else chat_template_kwargs.thinking_budget, else reasoning.max_tokens, else what low
//   and medium stand for. reasoning.effort is reasoning_effort by another name.
//   tool_choice none drops the tools; required needs some, and a named one has to be among them.
//   Completions take one prompt: text, [text], [ids...] or [[ids...]].
[[nodiscard]] ApiResult<GenerationRequest> parse_chat_request(std::string_view body);
[[nodiscard]] ApiResult<GenerationRequest> parse_completion_request(std::string_view body);
// Back to JSON, for the upstream: chat or completion by kind.
[[nodiscard]] std::string to_json(const GenerationRequest& request);

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t reasoning_tokens = 0;
};

struct TokenLogprob {
  std::string token;  // its bytes, which may be half a character
  double logprob = 0;
  std::vector<std::pair<std::string, double>> top;
};

// A piece of a tool call (streaming), or the whole of one. Pieces of one call share `index`; id and name come first.
struct ToolCallDelta {
  int index = 0;
  std::string id;
  std::string name;
  std::string arguments;  // JSON text, or the next part of it
};

// A piece of an answer, or the whole of one.
struct Delta {
  int index = 0;
  std::string content;
  std::string reasoning_content;
  std::vector<TokenLogprob> logprobs;
  std::int64_t text_offset = 0;  // completions: where `logprobs` begin in the text of the whole answer, in characters
  std::vector<ToolCallDelta> tool_calls;
  std::optional<std::string> finish_reason;  // "stop" | "length" | "tool_calls"
};

struct ResponseHead {
  std::string id;            // "chatcmpl-..." | "cmpl-..."
  std::int64_t created = 0;  // seconds
  std::string model;
};

// How many characters begin in `text`, which may start or end inside one: text_offset counts these.
[[nodiscard]] std::int64_t characters(std::string_view text);

// Streaming: one JSON text a chunk (without the SSE frame). `first` adds the role delta. usage: nullopt = field absent.
[[nodiscard]] std::string chat_chunk(const ResponseHead& head, const Delta& delta, bool first,
                                     const std::optional<Usage>& usage, bool usage_null);
[[nodiscard]] std::string completion_chunk(const ResponseHead& head, const Delta& delta,
                                           const std::optional<Usage>& usage, bool usage_null);
// The last chunk of stream_options.include_usage: "choices":[] and usage.
[[nodiscard]] std::string usage_chunk(const ResponseHead& head, GenerationRequest::Kind kind, const Usage& usage);
[[nodiscard]] std::string chat_response(const ResponseHead& head, const std::vector<Delta>& choices,
                                        const Usage& usage);
[[nodiscard]] std::string completion_response(const ResponseHead& head, const std::vector<Delta>& choices,
                                              const Usage& usage);

struct ModelCard {
  std::string id;
  std::int64_t created = 0;
  std::int64_t max_model_len = 0;
};
[[nodiscard]] std::string models_response(const std::vector<ModelCard>& models);
[[nodiscard]] std::string model_response(const ModelCard& model);

// What a reader of somebody's stream (or whole answer) needs from one chunk. Reads chat and completion, chunks and
// whole answers, and error bodies, from any server of the dialect: fields of a wrong type are taken as absent.
struct ParsedChunk {
  std::vector<Delta> choices;
  std::optional<Usage> usage;
  std::optional<ApiError> error;
  ResponseHead head;
};
// Errors: kDataLoss (not a JSON object).
[[nodiscard]] Result<ParsedChunk> parse_chunk(std::string_view json);

}  // namespace dormouse::api
