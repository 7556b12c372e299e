// Goal: whatever a server tells of its usage, the caller gets cumulative counts on every chunk and the right sum at the
// end, in the form the gateway reads. Method: events in, frames out, read back with api::parse_chunk.
#include "worker/adopt/stream_meter.h"

#include <gtest/gtest.h>

#include <vector>

#include "http/sse.h"

namespace dormouse::worker::adopt {
namespace {

OutgoingCall wants(bool include, bool continuous) {
  OutgoingCall call;
  call.stream = true;
  call.include_usage = include;
  call.continuous_usage = continuous;
  return call;
}

StreamMeter meter(bool include = true, bool continuous = true) {
  return {ModelNames{.served = "ours", .upstream = "theirs"}, wants(include, continuous)};
}

std::string delta(const std::string& inner, const std::string& rest = R"("finish_reason":null)",
                  const std::string& extra = "") {
  return R"({"id":"c","object":"chat.completion.chunk","created":9,"model":"theirs","choices":[{"index":0,"delta":{)" +
         inner + "}," + rest + "}]" + extra + "}";
}

std::string text(const std::string& word) {
  return delta(R"("content":")" + word + "\"");
}

std::vector<std::string> payloads(const std::string& bytes) {
  http::SseParser parser;
  parser.push(bytes);
  std::vector<std::string> out;
  while (auto event = parser.next()) out.push_back(event->data);
  return out;
}

api::ParsedChunk one(const api::ApiResult<std::string>& frames) {
  EXPECT_TRUE(frames.has_value());
  const std::vector<std::string> data = payloads(frames.value_or(""));
  EXPECT_EQ(data.size(), 1U);
  if (data.size() != 1) return {};
  return api::parse_chunk(data[0]).value_or(api::ParsedChunk{});
}

TEST(StreamMeter, CountsDeltasWhereUsageIsMissing) {
  StreamMeter m = meter();
  EXPECT_EQ(one(m.on_event(delta(R"("role":"assistant","content":"")"))).usage->completion_tokens, 0);
  const api::ParsedChunk first = one(m.on_event(text("a")));
  EXPECT_EQ(first.usage->completion_tokens, 1);
  EXPECT_EQ(first.head.model, "ours");
  EXPECT_EQ(first.choices.at(0).content, "a");
  EXPECT_EQ(one(m.on_event(delta(R"("reasoning_content":"b")"))).usage->completion_tokens, 2);
  EXPECT_EQ(one(m.on_event(delta(R"("reasoning":"b")"))).usage->completion_tokens, 3);
  EXPECT_EQ(one(m.on_event(delta(R"("tool_calls":[{"index":0}])"))).usage->completion_tokens, 4);
  EXPECT_EQ(one(m.on_event(delta("", R"("finish_reason":"stop")"))).usage->completion_tokens, 4);
  const auto end = m.on_event("[DONE]");
  const std::vector<std::string> last = payloads(*end);
  ASSERT_EQ(last.size(), 2U);
  const api::ParsedChunk usage = *api::parse_chunk(last[0]);
  EXPECT_TRUE(usage.choices.empty());
  EXPECT_NE(last[0].find(R"("choices":[])"), std::string::npos);
  EXPECT_EQ(usage.usage->completion_tokens, 4);
  EXPECT_EQ(usage.head.id, "c");
  EXPECT_EQ(usage.head.created, 9);
  EXPECT_EQ(last[1], "[DONE]");
  EXPECT_FALSE(m.usage_reported());
}

TEST(StreamMeter, BelievesTheLastUsageAlsoWhereItIsLess) {
  StreamMeter m = meter();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(m.on_event(text("a")).has_value());
  ASSERT_TRUE(m.on_event(delta("", R"("finish_reason":"length")")).has_value());
  const auto held =
      m.on_event(R"({"id":"c","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,)"
                 R"("prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}})");
  EXPECT_EQ(*held, "") << "the last usage is ours to send";
  const api::ParsedChunk last = *api::parse_chunk(payloads(*m.on_event("[DONE]")).at(0));
  EXPECT_EQ(last.usage->prompt_tokens, 11);
  EXPECT_EQ(last.usage->completion_tokens, 2);
  EXPECT_EQ(last.usage->cached_tokens, 4);
  EXPECT_EQ(last.usage->reasoning_tokens, 1);
  EXPECT_TRUE(m.usage_reported());
}

TEST(StreamMeter, PassesUsageOfEveryChunkAndCountsOnFromIt) {
  StreamMeter m = meter();
  const auto with = [](int prompt, int tokens) {
    return delta(R"("content":"x")", R"("finish_reason":null)",
                 R"(,"usage":{"prompt_tokens":)" + std::to_string(prompt) + R"(,"completion_tokens":)" +
                     std::to_string(tokens) + "}");
  };
  EXPECT_EQ(one(m.on_event(with(5, 3))).usage->completion_tokens, 3) << "a delta of three tokens";
  EXPECT_EQ(one(m.on_event(text("y"))).usage->completion_tokens, 4);
  EXPECT_EQ(one(m.on_event(with(5, 6))).usage->completion_tokens, 6);
  EXPECT_EQ(one(m.on_event(with(0, 7))).usage->prompt_tokens, 5) << "a prompt does not become unknown";
}

TEST(StreamMeter, ZerosOnEveryChunkAreNoUsage) {
  StreamMeter m = meter();
  const std::string zeros = R"(,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})";
  EXPECT_EQ(one(m.on_event(delta(R"("content":"x")", R"("finish_reason":null)", zeros))).usage->completion_tokens, 1);
  EXPECT_EQ(one(m.on_event(delta(R"("content":"x")", R"("finish_reason":null)", zeros))).usage->completion_tokens, 2);
}

TEST(StreamMeter, HostileCountsDoNoHarm) {
  StreamMeter m = meter();
  const std::string hostile =
      R"(,"usage":{"prompt_tokens":-5,"completion_tokens":9223372036854775807,"total_tokens":"x"})";
  const api::ParsedChunk chunk = one(m.on_event(delta(R"("content":"x")", R"("finish_reason":null)", hostile)));
  EXPECT_EQ(chunk.usage->prompt_tokens, 0);
  EXPECT_GT(chunk.usage->completion_tokens, 0);
  EXPECT_LT(chunk.usage->completion_tokens, std::int64_t{1} << 41);
}

TEST(StreamMeter, UsageIsNotSentUnasked) {
  StreamMeter unasked = meter(false, false);
  EXPECT_EQ(unasked.on_event(text("a"))->find("usage"), std::string::npos);
  EXPECT_EQ(*unasked.on_event(R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}})"), "");
  EXPECT_EQ(*unasked.on_event("[DONE]"), "data: [DONE]\n\n");
  StreamMeter at_end = meter(true, false);
  EXPECT_NE(at_end.on_event(text("a"))->find(R"("usage": null)"), std::string::npos);
  EXPECT_EQ(payloads(*at_end.on_event("[DONE]")).size(), 2U);
}

TEST(StreamMeter, CountsEveryChoice) {
  StreamMeter m = meter();
  const char* two = R"({"choices":[{"index":0,"text":"a"},{"index":1,"text":"b"},3]})";
  const api::ParsedChunk chunk = one(m.on_event(two));
  EXPECT_EQ(chunk.usage->completion_tokens, 2);
  EXPECT_FALSE(m.on_end().has_value());
}

TEST(StreamMeter, AnEndWithoutDoneIsBrokenUnlessEveryChoiceEnded) {
  StreamMeter broken = meter();
  ASSERT_TRUE(broken.on_event(text("a")).has_value());
  const auto end = broken.on_end();
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, api::ErrorCode::kWorkerCrashed);
  EXPECT_FALSE(meter().on_end().has_value()) << "nothing at all";
  StreamMeter whole = meter();
  ASSERT_TRUE(whole.on_event(delta(R"("content":"x")", R"("finish_reason":"stop")")).has_value());
  EXPECT_EQ(payloads(*whole.on_end()).back(), "[DONE]");
  EXPECT_EQ(*whole.on_end(), "") << "once";
  EXPECT_EQ(*whole.on_event(text("late")), "");
}

TEST(StreamMeter, ErrorsAreTypedAndGarbageIsOne) {
  StreamMeter m = meter();
  EXPECT_EQ(m.on_event(R"({"error":{"message":"/secret","code":503}})").error().code, api::ErrorCode::kOverloaded);
  for (const char* data : {"", "hello", "[1]", "{", "3"}) {
    const auto out = meter().on_event(data);
    ASSERT_FALSE(out.has_value()) << data;
    EXPECT_EQ(out.error().code, api::ErrorCode::kInternalError) << data;
  }
  StreamMeter flood = meter();
  bool refused = false;
  for (int i = 0; i < 5000 && !refused; ++i) {
    refused = !flood.on_event(R"({"choices":[{"index":)" + std::to_string(i) + R"(,"text":"a"}]})").has_value();
  }
  EXPECT_TRUE(refused) << "ever new choices";
}

TEST(StreamMeter, UnknownFieldsPass) {
  StreamMeter m = meter();
  const auto out = m.on_event(delta(R"("content":"x")", R"("finish_reason":null,"their_own":[1,{"a":"é"}])"));
  EXPECT_NE(out->find(R"("their_own": [1, {"a": "é"}])"), std::string::npos) << *out;
}

}  // namespace
}  // namespace dormouse::worker::adopt
