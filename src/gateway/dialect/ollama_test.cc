// Goal: what Ollama's clients send means what it means to Ollama, and what they read is what they parse: lines and
// objects with nanoseconds, whole tool calls, errors as texts. Method: bodies and chunks in, values and text out.
#include "gateway/dialect/ollama.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "gateway/dialect/ollama_request.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using api::ErrorCode;
using Kind = api::GenerationRequest::Kind;

api::ParsedChunk chunk(api::Delta delta) {
  api::ParsedChunk out;
  out.choices.push_back(std::move(delta));
  return out;
}

api::ParsedChunk text(std::string content, std::string thinking = "") {
  api::Delta delta;
  delta.content = std::move(content);
  delta.reasoning_content = std::move(thinking);
  return chunk(std::move(delta));
}

api::ParsedChunk call(int index, std::string id, std::string name, std::string arguments) {
  api::Delta delta;
  delta.tool_calls.push_back({index, std::move(id), std::move(name), std::move(arguments)});
  return chunk(std::move(delta));
}

api::ParsedChunk ending(std::string reason) {
  api::Delta delta;
  delta.finish_reason = std::move(reason);
  return chunk(std::move(delta));
}

OllamaHead head(OllamaShape shape, bool is_stream) {
  return {.shape = shape, .model = "qwen3:4b", .created = {1'764'162'000'000'001}, .is_stream = is_stream};
}

AnswerSummary summary() {
  AnswerSummary out;
  out.usage = {.prompt_tokens = 3, .completion_tokens = 2, .cached_tokens = 0, .reasoning_tokens = 0};
  out.wake_s = 0.25;
  out.prompt_s = 0.125;
  out.generation_s = 0.5;
  out.total_s = 1;
  return out;
}

// Each line of a stream, parsed: a line is one object and ends with a newline.
std::vector<json::object> lines(const std::string& text) {
  std::vector<json::object> out;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    EXPECT_NE(end, std::string::npos) << "a line without its end";
    if (end == std::string::npos) break;
    out.push_back(json::parse(text.substr(begin, end - begin)).as_object());
    begin = end + 1;
  }
  return out;
}

TEST(OllamaRequest, AChatIsTheOpenAiRequestItMeans) {
  const auto got = parse_ollama_chat(R"({"model":"qwen3:4b","messages":[{"role":"user","content":"hi","images":[]}],
    "think":false,"keep_alive":"5m","context":[1],"frequency":1,"options":{"num_ctx":8192,"num_predict":7,"seed":3,
    "temperature":0.5,"top_k":20,"top_p":0.9,"min_p":0.05,"repeat_penalty":1.1,"presence_penalty":0.5,
    "frequency_penalty":0.25,"stop":["a","b"],"mirostat":1,"num_gpu":99}})");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const api::GenerationRequest& request = got->request;
  EXPECT_FALSE(got->says_nothing);
  EXPECT_EQ(request.kind, Kind::kChat);
  EXPECT_EQ(request.model, "qwen3:4b");
  EXPECT_TRUE(request.stream) << "true unless said";
  EXPECT_EQ(request.enable_thinking, false);
  EXPECT_EQ(got->keep_alive, std::chrono::minutes(5));
  api::SamplingParams want;
  want.temperature = 0.5;
  want.top_k = 20;
  want.top_p = 0.9;
  want.min_p = 0.05;
  want.repetition_penalty = 1.1;
  want.presence_penalty = 0.5;
  want.frequency_penalty = 0.25;
  want.seed = 3;
  want.max_tokens = 7;
  want.stop = {"a", "b"};
  EXPECT_EQ(request.sampling, want);
  EXPECT_EQ(request.ignored_fields, (std::vector<std::string>{"frequency", "options.mirostat"}));
}

TEST(OllamaRequest, NoLimitIsNoLimitAndTheDefaultSeedIsNone) {
  for (const char* number : {"-1", "-2", "0"}) {
    const auto got = parse_ollama_generate(
        std::string(R"({"prompt":"x","stream":false,"options":{"seed":-1,"num_predict":)") + number + "}}");
    ASSERT_TRUE(got.has_value()) << got.error().message;
    EXPECT_EQ(got->request.sampling.max_tokens, std::nullopt);
    EXPECT_EQ(got->request.sampling.seed, std::nullopt);
    EXPECT_FALSE(got->request.stream);
  }
}

TEST(OllamaRequest, AGenerationIsAUserTurnUnlessRaw) {
  const auto turn = parse_ollama_generate(R"({"model":"m","prompt":"hi","system":"be brief","think":"high"})");
  ASSERT_TRUE(turn.has_value()) << turn.error().message;
  ASSERT_EQ(turn->request.messages.size(), 2U);
  EXPECT_EQ(turn->request.messages[0].content, "be brief");
  EXPECT_EQ(turn->request.messages[1].content, "hi");
  EXPECT_EQ(turn->request.enable_thinking, true);
  const auto raw = parse_ollama_generate(R"({"model":"m","prompt":"hi","raw":true})");
  ASSERT_TRUE(raw.has_value()) << raw.error().message;
  EXPECT_EQ(raw->request.kind, Kind::kCompletion);
  EXPECT_EQ(raw->request.prompt, "hi");
}

TEST(OllamaRequest, WhoSaysNothingLoadsOrUnloads) {
  for (const char* body : {R"({"model":"m"})", R"({"model":"m","messages":[]})", R"({"model":"m","messages":null})"}) {
    const auto got = parse_ollama_chat(body);
    ASSERT_TRUE(got.has_value()) << body;
    EXPECT_TRUE(got->says_nothing) << body;
    EXPECT_EQ(got->request.model, "m");
  }
  const auto unload = parse_ollama_generate(R"({"model":"m","prompt":"","keep_alive":0})");
  ASSERT_TRUE(unload.has_value());
  EXPECT_TRUE(unload->says_nothing);
  EXPECT_EQ(unload->keep_alive, Nanoseconds{0});
}

TEST(OllamaRequest, ToolCallsOfTheHistoryAreTextWithIdsAndAnswersFindTheirs) {
  const auto got = parse_ollama_chat(R"({"messages":[{"role":"user","content":"x"},
    {"role":"assistant","content":"","thinking":"hm","tool_calls":[
      {"function":{"name":"a","arguments":{"n":1,"s":"é"}}},{"function":{"name":"b","arguments":{}}},
      {"id":"own","function":{"name":"c"}}]},
    {"role":"tool","tool_name":"b","content":"B"},{"role":"tool","content":"A"},
    {"role":"tool","content":"C","tool_call_id":"own"}],
    "tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object"}}}]})");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const std::vector<api::Message>& messages = got->request.messages;
  ASSERT_EQ(messages.size(), 5U);
  EXPECT_EQ(messages[1].reasoning_content, "hm");
  ASSERT_EQ(messages[1].tool_calls.size(), 3U);
  const std::vector<api::ToolCall>& calls = messages[1].tool_calls;
  EXPECT_TRUE(calls[0].arguments_is_string);
  EXPECT_EQ(calls[0].arguments, R"({"n": 1, "s": "é"})");
  EXPECT_EQ(calls[2].id, "own");
  EXPECT_NE(calls[0].id, calls[1].id);
  EXPECT_EQ(messages[2].tool_call_id, calls[1].id) << "by its name";
  EXPECT_EQ(messages[3].tool_call_id, calls[0].id) << "the oldest that is open";
  EXPECT_EQ(messages[4].tool_call_id, "own");
  EXPECT_EQ(got->request.tools.size(), 1U);
}

TEST(OllamaRequest, KeepAliveHasManyForms) {
  using std::chrono::milliseconds;
  struct Row {
    const char* text;
    std::optional<Nanoseconds> want;
  };
  for (const Row& row : {Row{"10m", milliseconds(600'000)},
                         Row{"1h30m", milliseconds(5'400'000)},
                         Row{"1.5s", milliseconds(1'500)},
                         Row{"300", milliseconds(300'000)},
                         Row{"0", Nanoseconds{0}},
                         Row{"0s", Nanoseconds{0}},
                         Row{"-0", Nanoseconds{0}},
                         Row{"-1", Nanoseconds{-1}},
                         Row{"-5m", Nanoseconds{-1}},
                         Row{"+2s", milliseconds(2'000)},
                         Row{"2us", Nanoseconds{2'000}},
                         Row{"", std::nullopt},
                         Row{"-", std::nullopt},
                         Row{"m", std::nullopt},
                         Row{"5 m", std::nullopt},
                         Row{"5d", std::nullopt},
                         Row{"inf", std::nullopt},
                         Row{"1e3s", std::nullopt},
                         Row{"--1", std::nullopt},
                         Row{"1.2.3", std::nullopt},
                         Row{"5mx", std::nullopt}}) {
    EXPECT_EQ(parse_keep_alive(row.text), row.want) << row.text;
  }
  EXPECT_GT(*parse_keep_alive("99999999999999999999h"), std::chrono::hours(24 * 365)) << "bounded, not wrapped";
  const auto of = [](const char* value) {
    return parse_ollama_chat(std::string(R"({"keep_alive":)") + value + "}").value().keep_alive;
  };
  EXPECT_EQ(of("2"), milliseconds(2'000));
  EXPECT_EQ(of("0.5"), milliseconds(500));
  EXPECT_LT(*of("-1"), Nanoseconds{0});
  EXPECT_LT(*of("-1e300"), Nanoseconds{0});
  EXPECT_LT(*of("-1e-300"), Nanoseconds{0}) << "rounded to 0 it would be the opposite";
  EXPECT_GT(*of("1e300"), std::chrono::hours(24 * 365));
  EXPECT_EQ(of("null"), std::nullopt);
}

TEST(OllamaRequest, BadInputNamesItsFieldAsItWasSent) {
  struct Row {
    const char* body;
    const char* param;
    ErrorCode code = ErrorCode::kInvalidValue;
  };
  for (const Row& row :
       {Row{"", "", ErrorCode::kInvalidJson},
        Row{"[]", "", ErrorCode::kInvalidJson},
        Row{R"({"model":1})", "model"},
        Row{R"({"stream":"yes"})", "stream"},
        Row{R"({"messages":{}})", "messages"},
        Row{R"({"tools":[{"type":"x","function":{"name":"f"}}]})", "tools[0].type"},
        Row{R"({"options":{"stop":5}})", "options.stop"},
        Row{R"({"options":{"repeat_penalty":1e-50}})", "options.repeat_penalty"},
        Row{R"({"messages":["x"]})", "messages[0]"},
        Row{R"({"messages":[{"content":"x"}]})", "messages[0].role"},
        Row{R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
        Row{R"({"messages":[{"role":"user","content":"x","images":["aGk="]}]})", "messages[0].images"},
        Row{R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":"{}"}}]}]})",
            "messages[0].tool_calls[0].function.arguments"},
        Row{R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})", "messages[0].tool_calls[0].function"},
        Row{R"({"messages":[{"role":"assistant","tool_calls":7}]})", "messages[0].tool_calls"},
        Row{R"({"tools":"x"})", "tools"},
        Row{R"({"think":"very"})", "think"},
        Row{R"({"think":1})", "think"},
        Row{R"({"keep_alive":"soon"})", "keep_alive"},
        Row{R"({"keep_alive":[]})", "keep_alive"},
        Row{R"({"format":"xml"})", "format"},
        Row{R"({"format":7})", "format"},
        Row{R"({"options":[]})", "options"},
        Row{R"({"options":{"temperature":9}})", "options.temperature"},
        Row{R"({"options":{"num_predict":1.5}})", "options.num_predict"},
        Row{R"({"options":{"num_ctx":"big"}})", "options.num_ctx"},
        Row{R"({"options":{"stop":7},"messages":[{"role":"user","content":"x"}]})", "options.stop"},
        Row{R"({"suffix":"x"})", "suffix"},
        Row{R"({"template":"x"})", "template"}}) {
    const auto got = parse_ollama_chat(row.body);
    ASSERT_FALSE(got.has_value()) << row.body;
    EXPECT_EQ(got.error().param, row.param) << row.body;
    EXPECT_EQ(got.error().code, row.code) << row.body;
  }
  for (const Row& row :
       {Row{R"({"prompt":["x"]})", "prompt"}, Row{R"({"images":["aGk="]})", "images"},
        Row{R"({"prompt":"x","raw":true,"system":"s"})", "system"},
        Row{R"({"prompt":"x","raw":true,"format":"json"})", "format"}, Row{R"({"prompt":"x","raw":1})", "raw"}}) {
    const auto got = parse_ollama_generate(row.body);
    ASSERT_FALSE(got.has_value()) << row.body;
    EXPECT_EQ(got.error().param, row.param) << row.body;
  }
  EXPECT_EQ(parse_ollama_model(R"({"name":"m","stream":false})").value().model, "m");
  EXPECT_EQ(parse_ollama_model(R"({"model":7})").error().param, "model");
  EXPECT_EQ(parse_ollama_model(R"({"model":"m","name":7})").error().param, "name");
}

TEST(OllamaAnswer, AStreamIsLinesAndTheLastIsDoneWithNanoseconds) {
  const auto answer = make_ollama_answer(head(OllamaShape::kChat, true));
  std::string all = answer->on_chunk(text("", "hm"));
  all += answer->on_chunk(text("床前\n"));
  EXPECT_EQ(answer->on_chunk(text("")), "");
  EXPECT_EQ(answer->on_chunk(ending("length")), "") << "the last line says it";
  all += answer->closing(summary());
  const std::vector<json::object> got = lines(all);
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].at("model"), "qwen3:4b");
  EXPECT_EQ(got[0].at("created_at"), "2025-11-26T13:00:00.000001Z");
  EXPECT_EQ(got[0].at("message").at("thinking"), "hm");
  EXPECT_EQ(got[0].at("message").at("content"), "");
  EXPECT_EQ(got[0].at("done"), false);
  EXPECT_EQ(got[1].at("message").at("role"), "assistant");
  EXPECT_EQ(got[1].at("message").at("content"), "床前\n");
  EXPECT_FALSE(got[1].at("message").as_object().contains("thinking"));
  EXPECT_EQ(got[2].at("done"), true);
  EXPECT_EQ(got[2].at("done_reason"), "length");
  EXPECT_EQ(got[2].at("total_duration"), 1'000'000'000);
  EXPECT_EQ(got[2].at("load_duration"), 250'000'000);
  EXPECT_EQ(got[2].at("prompt_eval_count"), 3);
  EXPECT_EQ(got[2].at("prompt_eval_duration"), 125'000'000);
  EXPECT_EQ(got[2].at("eval_count"), 2);
  EXPECT_EQ(got[2].at("eval_duration"), 375'000'000);
  EXPECT_EQ(answer->form().content_type, "application/x-ndjson");
}

TEST(OllamaAnswer, SilenceIsWhitespaceInsideALine) {
  const auto answer = make_ollama_answer(head(OllamaShape::kChat, true));
  const std::string held = std::string(answer->form().silence) + std::string(answer->form().silence);
  EXPECT_EQ(lines(held + answer->on_chunk(text("a"))).size(), 1U) << "a newline of its own would be a line to parse";
}

TEST(OllamaAnswer, AWholeGenerationIsOneObject) {
  const auto answer = make_ollama_answer(head(OllamaShape::kGenerate, false));
  EXPECT_EQ(answer->on_chunk(text("lost")), "");
  answer->reset();
  EXPECT_EQ(answer->on_chunk(text("床前", "hm")), "");
  EXPECT_EQ(answer->on_chunk(text("明月")), "");
  EXPECT_EQ(answer->on_chunk(ending("stop")), "");
  const json::object got = json::parse(answer->whole(summary())).as_object();
  EXPECT_EQ(got.at("response"), "床前明月");
  EXPECT_EQ(got.at("thinking"), "hm");
  EXPECT_EQ(got.at("done"), true);
  EXPECT_EQ(got.at("done_reason"), "stop");
  EXPECT_FALSE(got.contains("message"));
}

TEST(OllamaAnswer, ToolCallsAreWholeWithObjectsAndAnythingElseIsText) {
  for (const bool is_stream : {true, false}) {
    const auto answer = make_ollama_answer(head(OllamaShape::kChat, is_stream));
    std::string all = answer->on_chunk(call(0, "c0", "now", "{\"zone\":"));
    all += answer->on_chunk(call(1, "c1", "bad", "{\"zone\":"));
    all += answer->on_chunk(call(0, "", "", "\"UTC\",\n\"n\":1}"));
    all += answer->on_chunk(call(2, "", "none", ""));
    EXPECT_EQ(all, "");
    all += answer->on_chunk(ending("tool_calls"));
    all += is_stream ? answer->closing(summary()) : answer->whole(summary()) + "\n";
    const std::vector<json::object> got = lines(all);
    ASSERT_EQ(got.size(), is_stream ? 2U : 1U);
    const json::object& message = got[0].at("message").as_object();
    EXPECT_EQ(message.at("content"), "bad{\"zone\":");
    const json::array& calls = message.at("tool_calls").as_array();
    ASSERT_EQ(calls.size(), 2U);
    EXPECT_EQ(calls[0].at("id"), "c0");
    EXPECT_EQ(calls[0].at("function").at("name"), "now");
    EXPECT_EQ(calls[0].at("function").at("arguments").at("zone"), "UTC");
    EXPECT_EQ(calls[1].at("function").at("index"), 1);
    EXPECT_TRUE(calls[1].at("function").at("arguments").as_object().empty());
    EXPECT_EQ(got.back().at("done_reason"), "stop") << "Ollama has no word for tool calls";
    EXPECT_EQ(got.back().at("message").as_object().contains("tool_calls"), !is_stream) << "once";
  }
}

TEST(OllamaAnswer, NoticesAndErrorsAreTexts) {
  const json::object load = json::parse(ollama_notice(head(OllamaShape::kGenerate, true), "load")).as_object();
  EXPECT_EQ(load.at("response"), "");
  EXPECT_EQ(load.at("done"), true);
  EXPECT_EQ(load.at("done_reason"), "load");
  EXPECT_EQ(json::parse(ollama_notice(head(OllamaShape::kChat, true), "unload")).at("message").at("content"), "");
  const auto text_of = [](const api::ApiError& error) {
    return json::parse(ollama_error(error)).at("error").as_string();
  };
  EXPECT_EQ(text_of({ErrorCode::kQueueFull, {}, {}}),
            "server busy, please try again.  maximum pending requests exceeded");
  EXPECT_EQ(text_of({ErrorCode::kInvalidValue, "Only \"x\".", "tools[0]"}), "tools[0]: Only \"x\".");
  EXPECT_EQ(text_of({ErrorCode::kInvalidValue, "think must be true.", "think"}), "think must be true.");
  EXPECT_FALSE(text_of({ErrorCode::kWorkerCrashed, {}, {}}).empty());
  const auto answer = make_ollama_answer(head(OllamaShape::kChat, true));
  EXPECT_TRUE(lines(answer->broken_off({ErrorCode::kWorkerCrashed, {}, {}}))[0].contains("error"));
  EXPECT_EQ(rfc3339({0}), "1970-01-01T00:00:00.000000Z");
}

}  // namespace
}  // namespace dormouse::gateway
