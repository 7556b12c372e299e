// Goal: calls, thoughts and their limits as a client sees them. Method: a real worker on a Unix socket with a fake
// engine that says what the prompt tells it to; whole answers and streams have to come to the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "api/generation.h"
#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

using http::RawAnswer;

constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}])";
const std::string kBudgetText =
    "Considering the limited time by the user, I have to give the solution based on the thinking directly now.";

std::string chat(const std::string& content, const std::string& more) {
  boost::json::object message{{"role", "user"}, {"content", content}};
  return R"({"model":"fake","messages":[)" + boost::json::serialize(message) + "]," + more + "}";
}

// What came of an answer, put together as a client does it.
struct Got {
  api::Delta choice;
  api::Usage usage;
};

Got whole(const RawAnswer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Result<api::ParsedChunk> body = api::parse_chunk(answer.body);
  if (!body.has_value() || body->choices.size() != 1 || !body->usage.has_value()) {
    ADD_FAILURE() << answer.body;
    return {};
  }
  return {.choice = body->choices[0], .usage = *body->usage};
}

Got streamed(const RawAnswer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  Got out;
  for (const std::string& payload : sse_payloads(answer.body)) {
    if (payload == "[DONE]") continue;
    const Result<api::ParsedChunk> chunk = api::parse_chunk(payload);
    if (!chunk.has_value()) {
      ADD_FAILURE() << payload;
      continue;
    }
    if (chunk->usage.has_value()) out.usage = *chunk->usage;
    for (const api::Delta& delta : chunk->choices) {
      EXPECT_FALSE(out.choice.finish_reason.has_value()) << "nothing comes behind the end";
      out.choice.content += delta.content;
      out.choice.reasoning_content += delta.reasoning_content;
      for (const api::ToolCallDelta& call : delta.tool_calls) {
        if (call.index == static_cast<int>(out.choice.tool_calls.size())) {
          EXPECT_FALSE(call.id.empty() || call.name.empty()) << payload;
          out.choice.tool_calls.push_back(call);
          continue;
        }
        EXPECT_TRUE(call.id.empty() && call.name.empty()) << payload;
        out.choice.tool_calls.at(static_cast<std::size_t>(call.index)).arguments += call.arguments;
      }
      if (delta.finish_reason.has_value()) out.choice.finish_reason = delta.finish_reason;
    }
  }
  return out;
}

class ThinkingAndTools : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness.wait_ready()); }

  // The answer, whole and streamed alike.
  Got ask(WorkerHarness& worker, const std::string& content, const std::string& more) {
    const std::string stream = R"(,"stream":true,"stream_options":{"include_usage":true})";
    const std::string id = "x-request-id: my-id\r\n";
    Got first = whole(worker.post("/v1/chat/completions", chat(content, more), id));
    const Got second = streamed(worker.post("/v1/chat/completions", chat(content, more + stream), id));
    EXPECT_EQ(first.choice.content, second.choice.content);
    EXPECT_EQ(first.choice.reasoning_content, second.choice.reasoning_content);
    EXPECT_EQ(first.choice.finish_reason, second.choice.finish_reason);
    EXPECT_EQ(first.usage.completion_tokens, second.usage.completion_tokens);
    EXPECT_EQ(first.usage.reasoning_tokens, second.usage.reasoning_tokens);
    EXPECT_EQ(first.choice.tool_calls.size(), second.choice.tool_calls.size());
    for (std::size_t i = 0; i < std::min(first.choice.tool_calls.size(), second.choice.tool_calls.size()); ++i) {
      EXPECT_EQ(first.choice.tool_calls[i].id, second.choice.tool_calls[i].id);
      EXPECT_EQ(first.choice.tool_calls[i].name, second.choice.tool_calls[i].name);
      EXPECT_EQ(first.choice.tool_calls[i].arguments, second.choice.tool_calls[i].arguments);
    }
    return first;
  }
  Got ask(const std::string& content, const std::string& more) { return ask(harness, content, more); }

  WorkerHarness harness;
};

TEST_F(ThinkingAndTools, CallsHaveAnIdANameAndTheirArguments) {
  const Got got =
      ask("SAY:\x01\nhm\n\x02\n\nLet me see.\n\x03\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n\x04"
          "\n\x03\n{\"name\": \"other\", \"arguments\": {}}\n\x04|",
          std::string(kTools));
  EXPECT_EQ(got.choice.content, "Let me see.");
  EXPECT_EQ(got.choice.reasoning_content, "hm");
  ASSERT_EQ(got.choice.tool_calls.size(), 2U);
  EXPECT_EQ(got.choice.tool_calls[0].id, "call_my-id_0_0");
  EXPECT_EQ(got.choice.tool_calls[0].name, "weather");
  EXPECT_EQ(got.choice.tool_calls[0].arguments, R"({"city": "Paris"})");
  EXPECT_EQ(got.choice.tool_calls[1].id, "call_my-id_0_1");
  EXPECT_EQ(got.choice.tool_calls[1].name, "other") << "whether there is such a tool is the caller's to know";
  EXPECT_EQ(got.choice.finish_reason, "tool_calls");
  EXPECT_NE(harness.get("/metrics").body.find(R"(finished_reason="tool_calls"} 2)"), std::string::npos);
}

TEST_F(ThinkingAndTools, ACallAloneHasNoContent) {
  const std::string body = chat("SAY:\x03{\"name\":\"weather\",\"arguments\":{}}\x04|", std::string(kTools));
  const RawAnswer answer = harness.post("/v1/chat/completions", body);
  EXPECT_NE(answer.body.find(R"("content":null,"tool_calls":[{"id":)"), std::string::npos) << answer.body;
}

TEST_F(ThinkingAndTools, WithoutToolsTheTagsAreText) {
  const std::string script = "SAY:\x03{\"name\":\"weather\",\"arguments\":{}}\x04|";
  for (const std::string& more : {std::string(R"("tools":[])"), std::string(kTools) + R"(,"tool_choice":"none")"}) {
    const Got got = ask(script, more);
    EXPECT_EQ(got.choice.content, R"(<tool_call>{"name":"weather","arguments":{}}</tool_call>)");
    EXPECT_TRUE(got.choice.tool_calls.empty());
    EXPECT_EQ(got.choice.finish_reason, "stop");
  }
}

TEST_F(ThinkingAndTools, AMalformedCallIsTextAndACutOneSaysLength) {
  const Got malformed = ask("SAY:\x03{\"name\":\"weather\",}\x04|", std::string(kTools));
  EXPECT_EQ(malformed.choice.content, R"(<tool_call>{"name":"weather",}</tool_call>)");
  EXPECT_EQ(malformed.choice.finish_reason, "stop");
  EXPECT_TRUE(malformed.choice.tool_calls.empty());
  const Got cut = ask("SAY:\x03{\"name\":\"weather\",\"arguments\":{\"city\":\"Paris\"}}\x04|",
                      std::string(kTools) + R"(,"max_tokens":43)");
  ASSERT_EQ(cut.choice.tool_calls.size(), 1U);
  EXPECT_EQ(cut.choice.tool_calls[0].arguments, R"({"city":"Par)");
  EXPECT_EQ(cut.choice.finish_reason, "length");
}

TEST_F(ThinkingAndTools, OneCallIsEnoughWhereParallelOnesAreNotWanted) {
  const std::string call = "\x03{\"name\":\"weather\",\"arguments\":{}}\x04";
  const Got got = ask("SAY:" + call + "\n" + call + "|", std::string(kTools) + R"(,"parallel_tool_calls":false)");
  EXPECT_EQ(got.choice.tool_calls.size(), 1U);
  EXPECT_EQ(got.choice.finish_reason, "tool_calls");
  EXPECT_EQ(got.usage.completion_tokens, static_cast<std::int64_t>(call.size()));
}

TEST_F(ThinkingAndTools, ThinkingEndsWithItsBudgetAndTheAnswerFollows) {
  WorkerHarness::Options options;
  options.model.family = text::TemplateFamily::kThinking2507;
  WorkerHarness thinker(std::move(options));
  ASSERT_TRUE(thinker.wait_ready());
  for (const char* const field : {R"("thinking_budget":5)", R"("chat_template_kwargs":{"thinking_budget":5})",
                                  R"("reasoning":{"max_tokens":5})"}) {
    const Got got = ask(thinker, "think of letters", field + std::string(R"(,"max_tokens":160)"));
    const std::string& reasoning = got.choice.reasoning_content;
    ASSERT_GT(reasoning.size(), kBudgetText.size());
    EXPECT_EQ(reasoning.substr(5), "\n\n" + kBudgetText) << field;
    EXPECT_EQ(got.choice.content.size(), static_cast<std::size_t>(160 - got.usage.reasoning_tokens - 2))
        << "each letter is a token, two are the newlines between";
    EXPECT_FALSE(got.choice.content.empty());
    EXPECT_EQ(got.choice.finish_reason, "length");
  }
  const Got free = ask(thinker, "think of letters", R"("max_tokens":160)");
  EXPECT_EQ(free.choice.reasoning_content.size(), 160U);
}

TEST_F(ThinkingAndTools, ABudgetIsNoMatterWhereThinkingEndsByItself) {
  const Got got = ask("SAY:\x01\nhm\n\x02\n\nyes|", R"("thinking_budget":50)");
  EXPECT_EQ(got.choice.reasoning_content, "hm");
  EXPECT_EQ(got.choice.content, "yes");
  EXPECT_EQ(got.usage.reasoning_tokens, 6);
}

TEST_F(ThinkingAndTools, AnAnswerThatGoesRoundInCirclesEnds) {
  const std::string refrain = "SAY:begin " + std::string(600, 'x') + "|";
  const Got got = ask(refrain, R"("max_tokens":1000)");
  EXPECT_EQ(got.choice.content, "begin " + std::string(256, 'x'));
  EXPECT_EQ(got.choice.finish_reason, "length");
  EXPECT_EQ(harness.metric("dormouse_loop_guard_total"), 2);
  const Got measured = ask(refrain, R"("max_tokens":500,"ignore_eos":true)");
  EXPECT_EQ(measured.usage.completion_tokens, 500) << "who ignores the end wants them all";
}

TEST_F(ThinkingAndTools, ThoughtsThatGoRoundInCirclesEndAndTheAnswerFollows) {
  const Got got = ask("SAY:\x01" + std::string(500, 'x') + "|", R"("max_tokens":1000)");
  EXPECT_EQ(got.choice.reasoning_content, std::string(256, 'x') + "\n\n" + kBudgetText);
  EXPECT_FALSE(got.choice.content.empty());
  EXPECT_EQ(got.choice.content.find_first_not_of('x'), std::string::npos);
  EXPECT_EQ(got.choice.finish_reason, "stop");
  EXPECT_EQ(got.usage.completion_tokens, 502) << "<think>, 500 letters or what was written in their place, the end";
}

// Two tools, and checks of a call of each that know nothing of grammars.
constexpr std::string_view kTwoTools = R"("tools":[
    {"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{
        "city":{"type":"string","maxLength":6},"days":{"type":"integer","minimum":1,"maximum":14}},
        "required":["city","days"],"additionalProperties":false}}},
    {"type":"function","function":{"name":"now"}}])";

void expect_call(const api::ToolCallDelta& call) {
  boost::system::error_code ec;
  const boost::json::value arguments = boost::json::parse(call.arguments, ec);
  ASSERT_FALSE(ec) << call.arguments;
  if (call.name == "now") {
    EXPECT_TRUE(arguments.as_object().empty()) << call.arguments;
    return;
  }
  EXPECT_EQ(call.name, "weather");
  EXPECT_EQ(arguments.as_object().size(), 2U) << call.arguments;
  EXPECT_TRUE(arguments.at("city").is_string()) << call.arguments;
  const std::int64_t days = arguments.at("days").to_number<std::int64_t>();
  EXPECT_TRUE(days >= 1 && days <= 14) << call.arguments;
}

TEST_F(ThinkingAndTools, AModelThatMustCallCallsWhateverItWouldRatherSay) {
  std::size_t most = 0;
  for (int seed = 1; seed <= 12; ++seed) {
    const std::string sampling =
        R"(,"enable_thinking":false,"temperature":2,"top_k":0,"max_tokens":1000,"seed":)" + std::to_string(seed);
    const Got any = ask("letters", std::string(kTwoTools) + R"(,"tool_choice":"required")" + sampling);
    EXPECT_EQ(any.choice.finish_reason, "tool_calls");
    EXPECT_EQ(any.choice.content, "");
    EXPECT_GE(any.choice.tool_calls.size(), 1U);
    for (const api::ToolCallDelta& call : any.choice.tool_calls) expect_call(call);
    most = std::max(most, any.choice.tool_calls.size());
    const Got one =
        ask("letters", std::string(kTwoTools) + R"(,"tool_choice":"required","parallel_tool_calls":false)" + sampling);
    EXPECT_EQ(one.choice.tool_calls.size(), 1U);
    for (const api::ToolCallDelta& call : one.choice.tool_calls) expect_call(call);
    const Got named =
        ask("letters",
            std::string(kTwoTools) + R"(,"tool_choice":{"type":"function","function":{"name":"weather"}})" + sampling);
    ASSERT_EQ(named.choice.tool_calls.size(), 1U);
    EXPECT_EQ(named.choice.tool_calls[0].name, "weather");
    expect_call(named.choice.tool_calls[0]);
    EXPECT_EQ(named.choice.finish_reason, "tool_calls");
  }
  EXPECT_GT(most, 1U) << "several in parallel, where they may be";
  EXPECT_LE(most, 8U);
}

TEST_F(ThinkingAndTools, WhoMustCallMayThinkBeforeAndABudgetEndsThat) {
  WorkerHarness::Options options;
  options.model.family = text::TemplateFamily::kThinking2507;
  WorkerHarness thinker(std::move(options));
  ASSERT_TRUE(thinker.wait_ready());
  const Got got =
      ask(thinker, "think of letters",
          std::string(kTwoTools) + R"(,"tool_choice":"required","thinking_budget":7,"max_tokens":500,"seed":3)");
  EXPECT_EQ(got.choice.reasoning_content.substr(7), "\n\n" + kBudgetText);
  EXPECT_EQ(got.choice.content, "");
  EXPECT_EQ(got.choice.finish_reason, "tool_calls");
  ASSERT_GE(got.choice.tool_calls.size(), 1U);
  for (const api::ToolCallDelta& call : got.choice.tool_calls) expect_call(call);
}

TEST_F(ThinkingAndTools, ParametersWeCannotHoldACallToAreRefusedByPlace) {
  const auto refused = [this](const std::string& parameters) {
    const std::string tools = R"("tool_choice":"required","tools":[{"type":"function","function":{"name":"ok"}},
        {"type":"function","function":{"name":"f","parameters":)" +
                              parameters + "}}]";
    const RawAnswer answer = harness.post("/v1/chat/completions", chat("x", tools));
    EXPECT_EQ(answer.status, 400) << parameters;
    EXPECT_NE(answer.body.find(R"("param":"tools")"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("tools[1].function.parameters: "), std::string::npos) << answer.body;
  };
  refused("5");
  refused(R"({"type":"array"})");
  refused(R"({"type":"object","properties":{"a":{"type":"string","pattern":"(?=x)y"}}})");
  refused(R"({"type":"object","properties":{"a":{"type":"no such type"}}})");
}

}  // namespace
}  // namespace dormouse::worker
