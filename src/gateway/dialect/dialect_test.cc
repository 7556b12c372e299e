// Goal: what a caller of each dialect reads is whole and in order, for streams and bodies, and /generate is judged like
// any completion. Method: parsed chunks in, text out; no socket.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/dialect/generate.h"
#include "gateway/dialect/openai.h"
#include "http/sse.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

api::ParsedChunk piece(std::string text, std::int64_t tokens, int index = 0) {
  api::ParsedChunk out;
  api::Delta delta;
  delta.index = index;
  delta.content = std::move(text);
  out.choices.push_back(std::move(delta));
  out.usage = api::Usage{.prompt_tokens = 3, .completion_tokens = tokens, .cached_tokens = 0, .reasoning_tokens = 0};
  return out;
}

api::ParsedChunk ending(std::string reason, int index = 0) {
  api::ParsedChunk out;
  api::Delta delta;
  delta.index = index;
  delta.finish_reason = std::move(reason);
  out.choices.push_back(std::move(delta));
  return out;
}

AnswerSummary summary() {
  AnswerSummary out;
  out.usage = {.prompt_tokens = 3, .completion_tokens = 2, .cached_tokens = 0, .reasoning_tokens = 0};
  out.generation_s = 0.5;
  out.wake_s = 0.25;
  out.first_token_s = 0.3;
  return out;
}

std::vector<std::string> events(const std::string& text) {
  http::SseParser parser;
  parser.push(text);
  std::vector<std::string> out;
  while (auto event = parser.next()) out.push_back(event->data);
  return out;
}

TEST(Generate, ThePromptIsAUserTurnAndThinkingIsOff) {
  const auto request =
      parse_generate_request(R"({"prompt":"hi","max_tokens":5,"system":"be brief","temperature":0.5})");
  ASSERT_TRUE(request.has_value()) << request.error().message;
  EXPECT_EQ(request->kind, api::GenerationRequest::Kind::kChat);
  ASSERT_EQ(request->messages.size(), 2U);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].role, "user");
  EXPECT_EQ(request->messages[1].content, "hi");
  EXPECT_TRUE(request->prompt.empty());
  EXPECT_EQ(request->enable_thinking, false);
  EXPECT_EQ(request->sampling.max_tokens, 5);
  EXPECT_EQ(request->sampling.temperature, 0.5);
  EXPECT_TRUE(request->ignored_fields.empty());
}

TEST(Generate, RawIsACompletionAndThinkingCanBeAskedFor) {
  const auto raw = parse_generate_request(R"({"prompt":"床前","raw":true,"unheard_of":1})");
  ASSERT_TRUE(raw.has_value());
  EXPECT_EQ(raw->kind, api::GenerationRequest::Kind::kCompletion);
  EXPECT_EQ(raw->prompt, "床前");
  EXPECT_EQ(raw->ignored_fields, std::vector<std::string>{"unheard_of"});
  const auto thinking = parse_generate_request(R"({"prompt":"x","thinking":true,"stop":"\n"})");
  ASSERT_TRUE(thinking.has_value());
  EXPECT_EQ(thinking->enable_thinking, true);
  EXPECT_EQ(thinking->sampling.stop, std::vector<std::string>{"\n"});
  const auto budget = parse_generate_request(R"({"prompt":"x","thinking_budget":100})");
  ASSERT_TRUE(budget.has_value());
  EXPECT_EQ(budget->enable_thinking, true);
  EXPECT_EQ(budget->thinking_budget, 100);
  EXPECT_TRUE(budget->ignored_fields.empty());
  EXPECT_EQ(parse_generate_request(R"({"prompt":"x","thinking_budget":0})")->enable_thinking, false);
  EXPECT_EQ(parse_generate_request(R"({"prompt":"x","thinking":false,"thinking_budget":9})")->enable_thinking, false);
}

TEST(Generate, AFormatIsJsonOrASchemaAndIsSaidOnce) {
  using Kind = api::ResponseFormat::Kind;
  const auto any = parse_generate_request(R"({"prompt":"x","format":"json"})");
  ASSERT_TRUE(any.has_value());
  EXPECT_EQ(any->format.kind, Kind::kJsonObject);
  EXPECT_TRUE(any->ignored_fields.empty());
  const auto schema = parse_generate_request(R"({"prompt":"x","format":{"type":"null"}})");
  ASSERT_TRUE(schema.has_value());
  EXPECT_EQ(schema->format.kind, Kind::kJsonSchema);
  EXPECT_EQ(schema->format.text, R"({"type": "null"})");
  const auto regex = parse_generate_request(R"({"prompt":"x","guided_regex":"a+"})");
  ASSERT_TRUE(regex.has_value());
  EXPECT_EQ(regex->format.kind, Kind::kRegex);
  for (const char* body : {R"({"prompt":"x","format":"yaml"})", R"({"prompt":"x","format":5})",
                           R"({"prompt":"x","format":"json","guided_regex":"a"})"}) {
    const auto refused = parse_generate_request(body);
    ASSERT_FALSE(refused.has_value()) << body;
    EXPECT_EQ(refused.error().param, "format");
  }
}
TEST(Generate, BadInputNamesItsField) {
  struct Row {
    const char* body;
    api::ErrorCode code;
    const char* param;
  };
  for (const Row& row : {Row{"", api::ErrorCode::kInvalidJson, ""}, Row{"[]", api::ErrorCode::kInvalidJson, ""},
                         Row{"{}", api::ErrorCode::kInvalidValue, "prompt"},
                         Row{R"({"prompt":5})", api::ErrorCode::kInvalidValue, "prompt"},
                         Row{R"({"prompt":[1,2]})", api::ErrorCode::kInvalidValue, "prompt"},
                         Row{R"({"prompt":"x","max_tokens":-1})", api::ErrorCode::kInvalidValue, "max_tokens"},
                         Row{R"({"prompt":"x","max_tokens":0})", api::ErrorCode::kInvalidValue, "max_tokens"},
                         Row{R"({"prompt":"x","max_tokens":"9"})", api::ErrorCode::kInvalidValue, "max_tokens"},
                         Row{R"({"prompt":"x","temperature":99})", api::ErrorCode::kInvalidValue, "temperature"},
                         Row{R"({"prompt":"x","raw":"yes"})", api::ErrorCode::kInvalidValue, "raw"},
                         Row{R"({"prompt":"x","thinking":1})", api::ErrorCode::kInvalidValue, "thinking"},
                         Row{R"({"prompt":"x","system":[]})", api::ErrorCode::kInvalidValue, "system"},
                         Row{R"({"prompt":"x","raw":true,"system":"s"})", api::ErrorCode::kInvalidValue, "system"},
                         Row{R"({"prompt":"x","n":2})", api::ErrorCode::kInvalidValue, "n"},
                         Row{R"({"prompt":"x","stream":"yes"})", api::ErrorCode::kInvalidValue, "stream"},
                         Row{"{\"prompt\":\"\xff\"}", api::ErrorCode::kInvalidUtf8, ""}}) {
    const auto request = parse_generate_request(row.body);
    ASSERT_FALSE(request.has_value()) << row.body;
    EXPECT_EQ(request.error().code, row.code) << row.body;
    EXPECT_EQ(request.error().param, row.param) << row.body;
  }
}

TEST(Generate, AThinkingBudgetIsANumberAndHasNoPlaceInARawPrompt) {
  const auto param_of = [](const char* more) {
    const auto request = parse_generate_request(std::string(R"({"prompt":"x",)") + more + "}");
    return request.has_value() ? "" : request.error().param;
  };
  EXPECT_EQ(param_of(R"("thinking_budget":100)"), "");
  EXPECT_EQ(param_of(R"("thinking_budget":-1)"), "thinking_budget");
  EXPECT_EQ(param_of(R"("thinking_budget":"1")"), "thinking_budget");
  EXPECT_EQ(param_of(R"("raw":true,"thinking_budget":5)"), "thinking_budget");
  EXPECT_EQ(param_of(R"("raw":true,"thinking":true)"), "thinking");
  EXPECT_EQ(param_of(R"("raw":true,"thinking":false)"), "");
}

TEST(Generate, TheWholeAnswerSaysTextTimeAndRate) {
  const auto answer = make_generate_answer(false, "demo", "id-1");
  EXPECT_EQ(answer->on_chunk(piece("床前", 1)), "");
  EXPECT_EQ(answer->on_chunk(piece("明月", 2)), "");
  EXPECT_EQ(answer->on_chunk(ending("length")), "");
  const json::object body = json::parse(answer->whole(summary())).as_object();
  EXPECT_EQ(body.at("text"), "床前明月");
  EXPECT_EQ(body.at("generation_time"), 0.5);
  EXPECT_EQ(body.at("tokens_per_second"), 4.0);
  EXPECT_EQ(body.at("prompt_tokens"), 3);
  EXPECT_EQ(body.at("completion_tokens"), 2);
  EXPECT_EQ(body.at("finish_reason"), "length");
  EXPECT_EQ(body.at("wake_time"), 0.25);
  EXPECT_EQ(body.at("model"), "demo");
}

TEST(Generate, ThoughtsAndCostHaveTheirOwnFields) {
  for (const bool stream : {false, true}) {
    const auto answer = make_generate_answer(stream, "demo", "id-1");
    api::ParsedChunk thought = piece("", 1);
    thought.choices[0].reasoning_content = "hm";
    std::string text = answer->on_chunk(thought) + answer->on_chunk(piece("yes", 2)) + answer->on_chunk(ending("stop"));
    AnswerSummary costly = summary();
    costly.cost = Money{1'234'567, "CNY"};
    const std::vector<std::string> got = events(stream ? text + answer->closing(costly) : text);
    const json::object last = json::parse(stream ? got.at(2) : answer->whole(costly)).as_object();
    EXPECT_EQ(last.at("cost"), 1.234567);
    EXPECT_EQ(last.at("currency"), "CNY");
    EXPECT_EQ(last.at("finish_reason"), "stop");
    EXPECT_EQ((stream ? json::parse(got.at(0)).as_object() : last).at("thinking"), "hm");
    EXPECT_EQ((stream ? json::parse(got.at(1)).as_object() : last).at("text"), "yes");
  }
  const auto unpriced = make_generate_answer(false, "demo", "id-1");
  EXPECT_EQ(unpriced->on_chunk(piece("x", 1)), "");
  EXPECT_FALSE(json::parse(unpriced->whole(summary())).as_object().contains("cost")) << "no price is known";
}

TEST(Generate, TheStreamEndsWithTheNumbersAndDone) {
  const auto answer = make_generate_answer(true, "demo", "id-1");
  std::string text;
  text += answer->on_chunk(piece("a", 1));
  text += answer->on_chunk(piece("b", 2));
  text += answer->on_chunk(ending("stop"));
  text += answer->closing(summary());
  const std::vector<std::string> got = events(text);
  ASSERT_EQ(got.size(), 4U) << text;
  EXPECT_EQ(json::parse(got[0]).at("text"), "a");
  EXPECT_EQ(json::parse(got[1]).at("text"), "b");
  EXPECT_EQ(json::parse(got[2]).at("done"), true);
  EXPECT_EQ(json::parse(got[2]).at("completion_tokens"), 2);
  EXPECT_EQ(got[3], "[DONE]");
}

TEST(Generate, AResetForgetsTheFirstWorkersWords) {
  const auto answer = make_generate_answer(false, "demo", "id");
  EXPECT_EQ(answer->on_chunk(piece("wrong", 1)), "");
  answer->reset();
  EXPECT_EQ(answer->on_chunk(piece("right", 1)), "");
  EXPECT_EQ(json::parse(answer->whole(summary())).at("text"), "right");
}

api::GenerationRequest chat_request(bool stream, bool include_usage, bool continuous) {
  api::GenerationRequest out;
  out.stream = stream;
  out.stream_options.include_usage = include_usage;
  out.stream_options.continuous_usage_stats = continuous;
  return out;
}

TEST(OpenAi, UsageIsShownOnlyWhenAskedFor) {
  const auto answer = make_openai_answer(chat_request(true, false, false), {"chatcmpl-1", 7, "demo"});
  std::string text;
  text += answer->on_chunk(piece("a", 1));
  text += answer->on_chunk(ending("stop"));
  text += answer->closing(summary());
  const std::vector<std::string> got = events(text);
  ASSERT_EQ(got.size(), 3U) << text;
  EXPECT_FALSE(json::parse(got[0]).as_object().contains("usage"));
  EXPECT_EQ(json::parse(got[0]).at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(json::parse(got[1]).at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(got[2], "[DONE]");
}

TEST(OpenAi, IncludeUsageAddsOneChunkWithoutChoices) {
  const auto answer = make_openai_answer(chat_request(true, true, false), {"chatcmpl-1", 7, "demo"});
  std::string text;
  text += answer->on_chunk(piece("a", 1));
  text += answer->on_chunk(ending("stop"));
  text += answer->closing(summary());
  const std::vector<std::string> got = events(text);
  ASSERT_EQ(got.size(), 4U) << text;
  EXPECT_TRUE(json::parse(got[0]).at("usage").is_null());
  EXPECT_TRUE(json::parse(got[2]).at("choices").as_array().empty());
  EXPECT_EQ(json::parse(got[2]).at("usage").at("completion_tokens"), 2);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(json::parse(got[i]).at("id"), "chatcmpl-1");
}

TEST(OpenAi, ContinuousUsageComesOnEveryChunk) {
  const auto answer = make_openai_answer(chat_request(true, true, true), {"c", 7, "m"});
  std::string text = answer->on_chunk(piece("a", 1));
  text += answer->on_chunk(piece("b", 2));
  const std::vector<std::string> got = events(text);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(json::parse(got[1]).at("usage").at("completion_tokens"), 2);
}

TEST(OpenAi, ChoicesKeepApartAndInOrder) {
  const auto answer = make_openai_answer(chat_request(false, false, false), {"c", 7, "m"});
  for (const auto& chunk : {piece("x", 1, 1), piece("a", 2, 0), piece("y", 3, 1), ending("stop", 0),
                            ending("length", 1), piece("hostile", 4, 99), piece("hostile", 5, -1)}) {
    EXPECT_EQ(answer->on_chunk(chunk), "");
  }
  const json::value body = json::parse(answer->whole(summary()));
  ASSERT_EQ(body.at("choices").as_array().size(), 2U);
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "a");
  EXPECT_EQ(body.at("choices").at(1).at("message").at("content"), "xy");
  EXPECT_EQ(body.at("choices").at(1).at("finish_reason"), "length");
  EXPECT_EQ(body.at("usage").at("total_tokens"), 5);
}

TEST(OpenAi, ToolCallsPassInPiecesAndArePutTogether) {
  api::ParsedChunk begin = piece("", 1);
  begin.choices[0].tool_calls = {{0, "call_1", "f", ""}};
  api::ParsedChunk more = piece("", 2);
  more.choices[0].tool_calls = {{0, "", "", "{\"a\":"}};
  api::ParsedChunk rest = piece("", 3);
  rest.choices[0].tool_calls = {{0, "", "", "1}"}, {1, "call_2", "g", "{}"}};
  for (const bool stream : {false, true}) {
    const auto answer = make_openai_answer(chat_request(stream, false, false), {"c", 7, "m"});
    std::string text;
    for (const api::ParsedChunk& chunk : {begin, more, rest, ending("tool_calls")}) text += answer->on_chunk(chunk);
    if (stream) {
      const std::vector<std::string> got = events(text);
      ASSERT_EQ(got.size(), 4U) << text;
      EXPECT_EQ(json::parse(got[0]).at("choices").at(0).at("delta").at("tool_calls").at(0).at("id"), "call_1");
      EXPECT_FALSE(
          json::parse(got[1]).at("choices").at(0).at("delta").at("tool_calls").at(0).as_object().contains("id"));
      EXPECT_EQ(json::parse(got[2]).at("choices").at(0).at("delta").at("tool_calls").at(1).at("index"), 1);
      EXPECT_EQ(json::parse(got[3]).at("choices").at(0).at("finish_reason"), "tool_calls");
      continue;
    }
    const json::value message = json::parse(answer->whole(summary())).at("choices").at(0).at("message");
    EXPECT_TRUE(message.at("content").is_null());
    EXPECT_EQ(message.at("tool_calls").at(0).at("function").at("arguments"), "{\"a\":1}");
    EXPECT_EQ(message.at("tool_calls").at(1).at("id"), "call_2");
  }
}

TEST(OpenAi, ACompletionIsATextCompletion) {
  api::GenerationRequest request = chat_request(true, false, false);
  request.kind = api::GenerationRequest::Kind::kCompletion;
  const auto answer = make_openai_answer(request, {"cmpl-1", 7, "m"});
  std::string text = answer->on_chunk(piece("a", 1));
  text += answer->closing(summary());
  const std::vector<std::string> got = events(text);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(json::parse(got[0]).at("object"), "text_completion");
  EXPECT_EQ(json::parse(got[0]).at("choices").at(0).at("text"), "a");
}

TEST(OpenAi, AnErrorEventHasNoDone) {
  const auto answer = make_openai_answer(chat_request(true, false, false), {"chatcmpl-1", 7, "m"});
  const std::vector<std::string> got = events(answer->broken_off({api::ErrorCode::kWorkerCrashed, {}, {}}));
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(json::parse(got[0]).at("error").at("code"), "worker_crashed");
}

}  // namespace
}  // namespace dormouse::gateway
