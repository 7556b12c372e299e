// Goal: the worker's HTTP surface: answers as the wire rules want them, errors as the table wants them, and nothing one
// client does reaches another. Method: a real worker on a Unix socket with a fake engine whose text is known in
// advance; raw bytes in and out.
#include "worker/worker.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>
#include <thread>

#include "api/generation.h"
#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

using http::RawAnswer;
using http::RawClient;

std::string chat(const std::string& content, const std::string& more = {}) {
  return R"({"model":"fake","messages":[{"role":"user","content":")" + content + "\"}]" +
         (more.empty() ? "" : "," + more) + "}";
}
std::string completion(const std::string& prompt, const std::string& more = {}) {
  return R"({"model":"fake","prompt":")" + prompt + "\"" + (more.empty() ? "" : "," + more) + "}";
}
api::ParsedChunk whole(const RawAnswer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Result<api::ParsedChunk> parsed = api::parse_chunk(answer.body);
  EXPECT_TRUE(parsed.has_value()) << answer.body;
  return parsed.value_or(api::ParsedChunk{});
}

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness.wait_ready()); }
  WorkerHarness harness;
};

TEST_F(WorkerTest, AChatAnswerHasTextReasonAndUsage) {
  const RawAnswer answer = harness.post("/v1/chat/completions", chat("SAY:hello|"), "x-request-id: my-id\r\n");
  EXPECT_NE(answer.head.find("x-request-id: my-id"), std::string::npos);
  const api::ParsedChunk body = whole(answer);
  ASSERT_EQ(body.choices.size(), 1U);
  EXPECT_EQ(body.choices[0].content, "hello");
  EXPECT_EQ(body.choices[0].finish_reason, "stop");
  ASSERT_TRUE(body.usage.has_value());
  EXPECT_EQ(body.usage->completion_tokens, 6) << "five letters and the end token";
  EXPECT_EQ(body.head.model, "fake");
}

TEST_F(WorkerTest, ACompletionStopsAtItsLengthAndEchoes) {
  const api::ParsedChunk body =
      whole(harness.post("/v1/completions", completion("SAY:hello|", R"("max_tokens":3,"echo":true)")));
  EXPECT_EQ(body.choices[0].content, "SAY:hello|hel");
  EXPECT_EQ(body.choices[0].finish_reason, "length");
  EXPECT_EQ(body.usage->completion_tokens, 3);
  EXPECT_EQ(body.usage->prompt_tokens, 9) << "ten bytes, one merge";
}

TEST_F(WorkerTest, AStreamOpensWithTheRoleAndKeepsIdAndTimeAndSendsNoUsageUnasked) {
  const RawAnswer answer = harness.post("/v1/chat/completions", chat("SAY:abc|", R"("stream":true)"));
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  EXPECT_NE(answer.head.find("content-type: text/event-stream"), std::string::npos);
  EXPECT_NE(answer.head.find("x-accel-buffering: no"), std::string::npos);
  const std::vector<std::string> frames = sse_payloads(answer.body);
  ASSERT_GE(frames.size(), 4U);
  EXPECT_EQ(frames.back(), "[DONE]");
  EXPECT_NE(frames[0].find(R"("delta":{"role":"assistant","content":""})"), std::string::npos) << frames[0];
  EXPECT_EQ(answer.body.find("usage"), std::string::npos);
  EXPECT_EQ(streamed_text(answer.body), "abc");
  const api::ParsedChunk first = *api::parse_chunk(frames[0]);
  for (std::size_t i = 0; i + 1 < frames.size(); ++i) {
    const Result<api::ParsedChunk> chunk = api::parse_chunk(frames[i]);
    ASSERT_TRUE(chunk.has_value()) << frames[i];
    EXPECT_EQ(chunk->head.id, first.head.id);
    EXPECT_EQ(chunk->head.created, first.head.created);
    ASSERT_EQ(chunk->choices.size(), 1U);
    EXPECT_EQ(chunk->choices[0].finish_reason.has_value(), i + 2 == frames.size());
  }
}

TEST_F(WorkerTest, UsageComesWhenAskedAtTheEndOrOnEveryChunk) {
  const RawAnswer at_end = harness.post("/v1/completions", completion("SAY:abc|", R"("stream":true,
      "stream_options":{"include_usage":true})"));
  const std::vector<std::string> frames = sse_payloads(at_end.body);
  ASSERT_GE(frames.size(), 3U);
  EXPECT_NE(frames[0].find("\"usage\":null"), std::string::npos) << frames[0];
  const std::string& last = frames[frames.size() - 2];
  EXPECT_NE(last.find("\"choices\":[]"), std::string::npos) << last;
  EXPECT_EQ(api::parse_chunk(last)->usage->completion_tokens, 4);

  const RawAnswer each = harness.post("/v1/completions", completion("SAY:abc|", R"("stream":true,
      "stream_options":{"continuous_usage_stats":true})"));
  std::int64_t before = 0;
  for (const std::string& frame : sse_payloads(each.body)) {
    if (frame == "[DONE]") continue;
    const Result<api::ParsedChunk> chunk = api::parse_chunk(frame);
    ASSERT_TRUE(chunk.has_value() && chunk->usage.has_value()) << frame;
    EXPECT_GE(chunk->usage->completion_tokens, before);
    before = chunk->usage->completion_tokens;
  }
  EXPECT_EQ(before, 4);
}

TEST_F(WorkerTest, ThinkingIsApartFromTheAnswerInBothForms) {
  const std::string prompt = "SAY:\\u0001\\nhm\\n\\u0002\\n\\nyes|";
  const RawAnswer answer = harness.post("/v1/chat/completions", chat(prompt));
  const api::ParsedChunk body = whole(answer);
  EXPECT_EQ(body.choices[0].reasoning_content, "hm");
  EXPECT_EQ(body.choices[0].content, "yes");
  EXPECT_NE(answer.body.find("\"reasoning\""), std::string::npos);
  EXPECT_EQ(body.usage->reasoning_tokens, 6);
  const RawAnswer stream = harness.post("/v1/chat/completions", chat(prompt, R"("stream":true)"));
  EXPECT_EQ(streamed_text(stream.body), "yes");
}

TEST_F(WorkerTest, StopStringsEndTheAnswerAndAreNotSeen) {
  for (const char* stream : {"true", "false"}) {
    const std::string more = R"("stop":["STOP","zz"],"stream":)" + std::string(stream);
    const RawAnswer answer = harness.post("/v1/chat/completions", chat("SAY:one STO two STOP three|", more));
    const std::string text =
        std::string(stream) == "true" ? streamed_text(answer.body) : whole(answer).choices[0].content;
    EXPECT_EQ(text, "one STO two ");
    EXPECT_NE(answer.body.find(R"("finish_reason":"stop")"), std::string::npos);
  }
}

// Whatever the engine says, which here is letters without end. Thoughts, which nothing holds, would take all the tokens
// there are as often as not.
TEST_F(WorkerTest, AnAnswerIsHeldToItsFormat) {
  const std::string schema =
      R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":
      {"word":{"type":"string","maxLength":3},"n":{"enum":[7]}},"required":["word","n"]}}},
      "max_tokens":100,"enable_thinking":false)";
  const api::ParsedChunk body = whole(harness.post("/v1/chat/completions", chat("go on", schema)));
  ASSERT_EQ(body.choices.size(), 1U);
  EXPECT_EQ(body.choices[0].finish_reason, "stop");
  const std::string& content = body.choices[0].content;
  EXPECT_TRUE(content.starts_with("{\"word\":")) << content;
  EXPECT_TRUE(content.ends_with("\"n\":7}") || content.ends_with("\"n\": 7}")) << content;
  EXPECT_LE(content.size(), std::string(R"({"word": "abc", "n": 7})").size()) << content;
  const api::ParsedChunk choice =
      whole(harness.post("/v1/completions", completion("go on", R"("guided_choice":["yes.","no"])")));
  EXPECT_TRUE(choice.choices[0].content == "yes." || choice.choices[0].content == "no") << choice.choices[0].content;
  const api::ParsedChunk cut =
      whole(harness.post("/v1/chat/completions", chat("go on", schema + R"(,"seed":1,"n":2)")));
  EXPECT_EQ(cut.choices.size(), 2U) << "each choice is held for itself";
}

TEST_F(WorkerTest, AFormatNoAnswerCanBeHeldToIsRefusedByName) {
  for (const auto& [format, words] : std::vector<std::pair<std::string, std::string>>{
           {R"("guided_json":{"type":"array","uniqueItems":true})", "uniqueItems"},
           {R"("guided_regex":"a**")", "regex: at byte"},
           {R"("grammar":"root ::= root")", "begins with itself"},
           {R"("guided_json":{"type":"string","maxLength":9000000})", "too complex"}}) {
    const RawAnswer answer = harness.post("/v1/chat/completions", chat("x", format));
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_NE(answer.body.find(words), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find(R"("param":"response_format")"), std::string::npos) << answer.body;
  }
}

TEST_F(WorkerTest, SeveralChoicesAreSeveralAnswers) {
  const api::ParsedChunk body = whole(harness.post("/v1/chat/completions", chat("SAY:xy|", R"("n":3)")));
  ASSERT_EQ(body.choices.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(body.choices[static_cast<std::size_t>(i)].index, i);
    EXPECT_EQ(body.choices[static_cast<std::size_t>(i)].content, "xy");
  }
  EXPECT_EQ(body.usage->completion_tokens, 9);
}

TEST_F(WorkerTest, APromptThatCameBeforeIsFoundByItsTenantAndReported) {
  const std::string body = completion(std::string(100, 'q'), R"("max_tokens":20)");
  const auto ask = [&](const std::string& tenant) {
    return whole(harness.post("/v1/completions", body, "x-dormouse-tenant: " + tenant + "\r\n"));
  };
  const api::ParsedChunk first = ask("a");
  EXPECT_EQ(first.usage->cached_tokens, 0);
  const api::ParsedChunk again = ask("a");
  EXPECT_EQ(again.usage->prompt_tokens, 100);
  EXPECT_EQ(again.usage->cached_tokens, 96) << "three pages of 32";
  EXPECT_EQ(again.choices[0].content, first.choices[0].content);
  EXPECT_EQ(ask("b").usage->cached_tokens, 0);
  EXPECT_EQ(harness.metric("vllm:prefix_cache_queries_total"), 300);
  EXPECT_EQ(harness.metric("vllm:prefix_cache_hits_total"), 96);
  EXPECT_EQ(harness.metric("dormouse_kv_pages_idle"), 6);
  EXPECT_EQ(harness.metric("dormouse_kv_pages_free"), harness.metric("dormouse_kv_pages"));
  const api::ParsedChunk three =
      whole(harness.post("/v1/completions", completion(std::string(100, 'z'), R"("max_tokens":20,"n":3)")));
  EXPECT_EQ(three.choices[0].content, three.choices[2].content);
  EXPECT_EQ(three.usage->cached_tokens, 0) << "the first choice computed it for the others";
  EXPECT_EQ(harness.metric("vllm:prefix_cache_hits_total"), 96 + 2 * 96);
}

TEST(Worker, ThePrefixCacheCanBeBoundedAndSwitchedOff) {
  const std::string body = completion(std::string(100, 'q'), R"("max_tokens":1)");
  WorkerHarness::Options off;
  off.serve.generator.share_prefixes = false;
  WorkerHarness without(std::move(off));
  ASSERT_TRUE(without.wait_ready());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(whole(without.post("/v1/completions", body)).usage->cached_tokens, 0);
  EXPECT_EQ(without.metric("vllm:prefix_cache_queries_total"), 0);
  WorkerHarness::Options small;
  small.serve.generator.prefix_cache_bytes = 2 * 32 * static_cast<std::int64_t>(sizeof(sched::TokenId));  // two pages
  WorkerHarness bounded(std::move(small));
  ASSERT_TRUE(bounded.wait_ready());
  whole(bounded.post("/v1/completions", body));
  EXPECT_EQ(whole(bounded.post("/v1/completions", body)).usage->cached_tokens, 64);
  EXPECT_EQ(bounded.metric("dormouse_kv_pages_idle"), 2);
}

TEST(ServeOptions, SwitchesOfTheScheduler) {
  const auto parse = [](std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    return parse_serve_options(arguments);
  };
  EXPECT_TRUE(parse({"--model", "m"})->generator.share_prefixes);
  EXPECT_EQ(parse({"--model", "m"})->generator.prefix_cache_bytes, kAllOfTheCache);
  EXPECT_FALSE(parse({"--no-enable-prefix-caching", "--model", "m"})->generator.share_prefixes);
  EXPECT_EQ(parse({"--prefix-cache-memory=0", "--model", "m"})->generator.prefix_cache_bytes, 0);
  EXPECT_EQ(parse({"--model", "m"})->generator.speculation, sched::Speculation::kAuto);
  EXPECT_EQ(parse({"--model", "m", "--speculate", "off"})->generator.speculation, sched::Speculation::kOff);
  EXPECT_EQ(parse({"--model", "m", "--speculate", "on"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse({"--model", "m", "--prefill-budget-ms=40"})->generator.prefill_budget.count(), 40);
  EXPECT_EQ(parse({"--model", "m", "--prefill-budget-ms=0"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse({"--prefix-cache-memory", "-1", "--model", "m"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse({"--model", "m"})->load.kv_type, kernels::KvType::kF16);
  EXPECT_EQ(parse({"--model", "m", "--kv-type", "q8"})->load.kv_type, kernels::KvType::kQ8);
  EXPECT_EQ(parse({"--model", "m", "--kv-type", "q4"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse({"--model", "m"})->load.device_sampling, engine::DeviceSampling::kAuto);
  EXPECT_EQ(parse({"--model", "m", "--device-sampling=on"})->load.device_sampling, engine::DeviceSampling::kOn);
  EXPECT_EQ(parse({"--model", "m", "--device-sampling", "yes"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse({"--model", "m"})->load.device_paths, std::nullopt);
  EXPECT_EQ(parse({"--model", "m", "--device-paths", "none"})->load.device_paths, engine::DevicePaths{});
  EXPECT_EQ(parse({"--model", "m", "--device-paths", "fast"}).error().code, Code::kInvalidArgument);
}

TEST_F(WorkerTest, LogprobsComeWithTheirTokens) {
  const RawAnswer answer =
      harness.post("/v1/chat/completions", chat("SAY:ab|", R"("logprobs":true,"top_logprobs":2,"max_tokens":2)"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"("token":"a")"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("top_logprobs"), std::string::npos);
}

// "token" cannot hold half a character; "bytes" is what clients put together.
TEST_F(WorkerTest, LogprobsHaveTheBytesOfHalfACharacter) {
  const RawAnswer answer = harness.post("/v1/chat/completions", chat("SAY:é|", R"("logprobs":true,"max_tokens":2)"));
  EXPECT_NE(answer.body.find(R"("bytes":[195])"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find(R"("bytes":[169])"), std::string::npos) << answer.body;
}

// As OpenAI has it: offsets are into the text, which begins with the prompt where it is echoed; a stream counts on.
TEST_F(WorkerTest, OffsetsOfTokensCountTheEchoedPrompt) {
  const std::string more = R"("max_tokens":3,"logprobs":1,"echo":true)";
  const RawAnswer answer = harness.post("/v1/completions", completion("月SAY:hello|", more));
  EXPECT_NE(answer.body.find(R"("text_offset":[11,12,13])"), std::string::npos) << answer.body;
  const RawAnswer plain = harness.post("/v1/completions", completion("SAY:hello|", R"("max_tokens":3,"logprobs":1)"));
  EXPECT_NE(plain.body.find(R"("text_offset":[0,1,2])"), std::string::npos) << plain.body;
  const RawAnswer stream = harness.post("/v1/completions", completion("SAY:hello|", more + R"(,"stream":true)"));
  std::int64_t next = 10;
  for (const std::string& event : sse_payloads(stream.body)) {
    if (event == "[DONE]") continue;
    const Result<api::ParsedChunk> chunk = api::parse_chunk(event);
    ASSERT_TRUE(chunk.has_value()) << event;
    for (const api::Delta& delta : chunk->choices) {
      if (delta.logprobs.empty()) continue;
      EXPECT_EQ(delta.text_offset, next) << stream.body;
      next += static_cast<std::int64_t>(delta.logprobs.size());
    }
  }
  EXPECT_EQ(next, 13);
}

TEST_F(WorkerTest, AnEchoedPromptInTokensIsTheirText) {
  const api::ParsedChunk body =
      whole(harness.post("/v1/completions", R"({"model":"fake","prompt":[72,105],"max_tokens":1,"echo":true})"));
  const api::ParsedChunk told =
      whole(harness.post("/v1/completions", R"({"model":"fake","prompt":[72,105],"max_tokens":1})"));
  EXPECT_EQ(body.choices[0].content.size(), told.choices[0].content.size() + 2) << body.choices[0].content;
}

TEST_F(WorkerTest, APromptBeyondTheContextSaysHowFar) {
  const std::string words(3000, 'q');
  const RawAnswer answer = harness.post("/v1/completions", completion(words));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("context_length_exceeded"), std::string::npos);
  EXPECT_NE(answer.body.find("3,000 tokens; the context has room for 2,047"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("953 too many"), std::string::npos) << answer.body;  // 3000 - (2048 - 1)
}

// Counting all of a prompt that is far too long would cost seconds to say a number that helps nobody.
TEST_F(WorkerTest, APromptFarBeyondTheContextIsNotCountedToItsEnd) {
  const std::string words(100'000, 'q');
  for (const RawAnswer& answer :
       {harness.post("/v1/completions", completion(words)), harness.post("/v1/chat/completions", chat(words))}) {
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find("context_length_exceeded"), std::string::npos);
    EXPECT_NE(answer.body.find("more than 4,094 tokens; the context has room for 2,047"), std::string::npos)
        << answer.body;
  }
  const RawAnswer admitted =
      harness.post("/v1/completions", completion(words), "x-dormouse-max-prompt-tokens: 100\r\n");
  EXPECT_NE(admitted.body.find("more than 200 tokens; this request was admitted with 100"), std::string::npos)
      << admitted.body;
}

TEST_F(WorkerTest, TheAdmittedPromptLengthIsCheckedBeforePrefill) {
  const std::int64_t steps = harness.engine().steps();
  const RawAnswer refused = harness.post("/v1/completions", completion("qqqqq"), "x-dormouse-max-prompt-tokens: 4\r\n");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("1 too many"), std::string::npos) << refused.body;
  EXPECT_EQ(harness.engine().steps(), steps);
  EXPECT_EQ(harness.post("/v1/completions", completion("qqqqq"), "x-dormouse-max-prompt-tokens: x\r\n").status, 400);
  EXPECT_EQ(
      harness.post("/v1/completions", completion("qqqqq", R"("max_tokens":1)"), "x-dormouse-max-prompt-tokens: 5\r\n")
          .status,
      200);
}

TEST_F(WorkerTest, ModelsHealthMetricsAndTokensAnswer) {
  EXPECT_NE(harness.get("/v1/models").body.find(R"("id":"fake")"), std::string::npos);
  EXPECT_EQ(harness.get("/v1/models/fake").status, 200);
  EXPECT_EQ(harness.get("/v1/models/other").status, 404);
  EXPECT_EQ(harness.get("/nowhere").status, 404);
  EXPECT_EQ(harness.get("/v1/completions").status, 405);
  EXPECT_EQ(harness.post("/health", "{}").status, 405);
  EXPECT_EQ(harness.post("/tokenize", R"({"prompt":"abc"})").body.find(R"({"count":2,"max_model_len":2048,"tokens":[)"),
            0U)
      << harness.post("/tokenize", R"({"prompt":"abc"})").body;
  const RawAnswer tokens = harness.post("/tokenize", R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(tokens.status, 200) << tokens.body;
  EXPECT_EQ(harness.post("/detokenize", R"({"tokens":[97,98,226,130]})").body, R"({"prompt":"ab)"
                                                                               "\xEF\xBF\xBD"
                                                                               R"("})");
  EXPECT_EQ(harness.post("/detokenize", R"({"tokens":[99999]})").status, 400);
  EXPECT_EQ(harness.post("/detokenize", R"({"tokens":"x"})").status, 400);
  whole(harness.post("/v1/completions", completion("SAY:ab|")));
  EXPECT_EQ(harness.metric("vllm:generation_tokens_total"), 3);
  EXPECT_EQ(harness.metric("vllm:num_requests_running"), 0);
  EXPECT_EQ(harness.metric("dormouse_kv_pages_free"), harness.metric("dormouse_kv_pages"));
  EXPECT_NE(harness.get("/metrics").body.find(R"(finished_reason="stop"} 1)"), std::string::npos);
}

struct BadRequest {
  std::string body;
  int status;
  const char* code;
};

std::vector<BadRequest> bad_requests(bool is_chat) {
  const auto good = [&](const std::string& more) { return is_chat ? chat("x", more) : completion("x", more); };
  std::vector<BadRequest> out = {
      {"", 400, "invalid_json"},
      {"{", 400, "invalid_json"},
      {"[]", 400, ""},
      {"null", 400, ""},
      {std::string(100'000, '['), 400, "json_too_deep"},
      {good(R"("temperature":"hot")"), 400, "invalid_value"},
      {good(R"("temperature":-1)"), 400, "invalid_value"},
      {good(R"("temperature":1e999)"), 400, ""},
      {good(R"("max_tokens":-5)"), 400, "invalid_value"},
      {good(R"("max_tokens":0)"), 400, "invalid_value"},
      {good(R"("max_tokens":1.5)"), 400, "invalid_value"},
      {good(R"("top_p":0)"), 400, "invalid_value"},
      {good(R"("n":1000000)"), 400, "invalid_value"},
      {good(R"("stop":5)"), 400, "invalid_value"},
      {good(R"("seed":"x")"), 400, "invalid_value"},
      {good(R"("logit_bias":{"a":1})"), 400, "invalid_value"},
      {good(R"("stream":"yes")"), 400, "invalid_value"},
      {good(R"("user":"\ud800")"), 400, "invalid_json"},
      {is_chat ? R"({"model":"fake","messages":[]})" : R"({"model":"fake","prompt":""})", 400, "invalid_value"},
      {is_chat ? R"({"model":"fake"})" : R"({"model":"fake","prompt":[999999999]})", 400, "invalid_value"},
      {is_chat ? R"({"model":"fake","messages":[{"role":"wizard","content":"x"}]})"
               : R"({"model":"fake","prompt":{"a":1}})",
       400, "invalid_value"},
      {is_chat ? R"({"model":"other","messages":[{"role":"user","content":"x"}]})"
               : R"({"model":"other","prompt":"x"})",
       404, "model_not_found"},
      {is_chat ? chat(std::string("\xff\xfe")) : completion(std::string("\xff\xfe")), 400, "invalid_utf8"},
  };
  return out;
}

TEST_F(WorkerTest, BadInputIsRefusedByTheTableAndAStreamBesideItNoticesNothing) {
  const std::string prompt = "a long letter";
  const std::string expected =
      whole(harness.post("/v1/completions", completion(prompt, R"("max_tokens":1500)"))).choices[0].content;
  ASSERT_EQ(expected.size(), 1500U);
  // The stream stands still while the table is gone through, one step at a time in between.
  harness.engine().hold();
  RawClient beside(harness.address());
  beside.send(post_bytes("/v1/completions", completion(prompt, R"("max_tokens":1500,"stream":true)")));
  for (const bool is_chat : {true, false}) {
    const std::string path = is_chat ? "/v1/chat/completions" : "/v1/completions";
    for (const BadRequest& bad : bad_requests(is_chat)) {
      harness.engine().allow(1);
      const RawAnswer answer = harness.post(path, bad.body);
      EXPECT_EQ(answer.status, bad.status) << path << " " << bad.body.substr(0, 100);
      EXPECT_NE(answer.body.find(R"("error")"), std::string::npos);
      EXPECT_NE(answer.body.find(bad.code), std::string::npos) << bad.body.substr(0, 100) << " -> " << answer.body;
      EXPECT_NE(answer.head.find("x-request-id: "), std::string::npos);
    }
  }
  RawClient huge(harness.address());
  huge.send("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n");
  EXPECT_EQ(huge.read_answer().status, 413);
  RawClient header(harness.address());
  header.send("GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + std::string(40'000, 'a') + "\r\n\r\n");
  EXPECT_EQ(header.read_answer().status, 431);
  harness.engine().release();
  const RawAnswer answer = beside.read_answer();
  EXPECT_EQ(streamed_text(answer.body), expected);
}

TEST_F(WorkerTest, WhatFailsInsideTheEngineEndsThatRequestOnly) {
  const std::string expected =
      whole(harness.post("/v1/completions", completion("quiet", R"("max_tokens":40)"))).choices[0].content;
  EXPECT_EQ(harness.post("/v1/completions", completion("NAN! here")).status, 500);
  EXPECT_EQ(harness.post("/v1/chat/completions", chat("NAN! here", R"("stream":true)")).status, 500)
      << "before the first token it is an HTTP status";
  EXPECT_EQ(harness.post("/v1/completions", completion("BOOM")).status, 500);
  EXPECT_EQ(whole(harness.post("/v1/completions", completion("quiet", R"("max_tokens":40)"))).choices[0].content,
            expected);
}

TEST_F(WorkerTest, ATextIsTheSameAloneAndAmongManyWithPreemptionsBetween) {
  // 24 sequences of up to 500 tokens in 256 pages of 32: they cannot all stay, and every page is read back by the
  // engine.
  constexpr std::size_t kCount = 24;
  std::vector<std::string> alone;
  const auto prompt_of = [](std::size_t i) {
    return "letter " + std::string(1 + 7 * i, static_cast<char>('A' + static_cast<int>(i)));
  };
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string prompt = prompt_of(i);
    alone.push_back(
        whole(harness.post("/v1/completions", completion(prompt, R"("max_tokens":400)"))).choices[0].content);
  }
  std::vector<std::future<std::string>> together;
  for (std::size_t i = 0; i < kCount; ++i) {
    together.push_back(std::async(std::launch::async, [this, prompt = prompt_of(i)] {
      return streamed_text(
          harness.post("/v1/completions", completion(prompt, R"("max_tokens":400,"stream":true)")).body);
    }));
  }
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_EQ(together[i].get(), alone[i]) << i;
  EXPECT_GT(harness.engine().largest_batch(), 4U);
  EXPECT_GT(harness.metric("vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(http::TestServer::eventually(
      [this] { return harness.metric("dormouse_kv_pages_free") == harness.metric("dormouse_kv_pages"); }));
}

// Steps are let through one by one, so "two steps" is counted and not timed.
TEST_F(WorkerTest, AClientThatLeavesIsFreedWithinTwoSteps) {
  whole(harness.post("/v1/completions", completion("SAY:x|")));  // job 1; the golden rows have gone
  harness.engine().hold();
  {
    RawClient leaver(harness.address());
    leaver.send(post_bytes("/v1/completions", completion("leaver", R"("max_tokens":2000,"stream":true)")));
    harness.engine().allow(3);
    std::string got(64, '\0');
    ASSERT_GT(::recv(leaver.fd(), got.data(), got.size(), 0), 0) << "the stream has begun";
  }
  RawClient other(harness.address());
  other.send(post_bytes("/v1/completions", completion("SAY:still here|", R"("stream":true)")));
  // The engine stands in a step; the loop has noticed when the request is counted as aborted.
  ASSERT_TRUE(http::TestServer::eventually(
      [this] { return harness.get("/metrics").body.find(R"(finished_reason="abort"} 1)") != std::string::npos; }));
  const std::int64_t noticed = harness.engine().steps();
  harness.engine().release();
  EXPECT_EQ(streamed_text(other.read_answer().body), "still here");
  const sched::SequenceId leaver_sequence = 2 * 16;  // job 2, choice 0
  EXPECT_GT(harness.engine().last_step_of(leaver_sequence), 0);
  EXPECT_LE(harness.engine().last_step_of(leaver_sequence), noticed + 2);
  EXPECT_EQ(harness.metric("dormouse_kv_pages_free"), harness.metric("dormouse_kv_pages"));
}

TEST(JobChannel, AReaderTooFarBehindEndsItsJob) {
  asio::io_context io;
  JobChannel channel(io, 7);
  int ended = 0;
  channel.set_bounded([&] { ++ended; });
  for (std::size_t i = 0; i < kMaxPendingEvents; ++i) channel.push(JobEvent{});
  EXPECT_FALSE(channel.closed());
  channel.push(JobEvent{});
  EXPECT_TRUE(channel.closed() && channel.overflowed());
  channel.push(JobEvent{});
  EXPECT_EQ(ended, 1);
}

TEST(Worker, AReaderThatTakesNothingHasItsSequenceEndedAndNobodyElseNotices) {
  WorkerHarness::Options options;
  options.model.context_length = 8192;
  options.model.kv_pages = 512;
  WorkerHarness harness(std::move(options));
  ASSERT_TRUE(harness.wait_ready());
  RawClient idler(harness.address(), 4096);
  idler.send(post_bytes("/v1/completions", completion("x", R"("max_tokens":8000,"stream":true)")));
  ASSERT_TRUE(http::TestServer::eventually([&] { return harness.metric("vllm:generation_tokens_total") > 0; }));
  EXPECT_EQ(whole(harness.post("/v1/completions", completion("SAY:beside|"))).choices[0].content, "beside");
  // The bound is on events, not on time: it ends by itself while nobody reads.
  ASSERT_TRUE(http::TestServer::eventually([&] {
    return harness.metric("dormouse_kv_pages_free") == 512 && harness.metric("vllm:num_requests_running") == 0;
  }));
  EXPECT_LT(harness.metric("vllm:generation_tokens_total"), 8000);
  const std::optional<std::string> rest = idler.read_to_end();
  ASSERT_TRUE(rest.has_value());
  EXPECT_EQ(rest->find("[DONE]"), std::string::npos) << "a broken stream says so";
}

TEST(Worker, BeforeItIsReadyItSaysSo) {
  WorkerHarness harness({.model = {}, .serve = {}, .hold_load = true, .loader = {}});
  const RawAnswer health = harness.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_NE(health.body.find("model_loading"), std::string::npos);
  const RawAnswer answer = harness.post("/v1/chat/completions", chat("x"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("retry-after: "), std::string::npos);
  EXPECT_EQ(harness.post("/v1/chat/completions", "{").status, 400);
  EXPECT_EQ(harness.get("/v1/models").status, 200);
  harness.finish_load();
  EXPECT_TRUE(harness.wait_ready());
}

TEST(Worker, ADrainFinishesWhatRunsAndRefusesTheRest) {
  WorkerHarness harness;
  ASSERT_TRUE(harness.wait_ready());
  harness.engine().hold();
  RawClient running(harness.address());
  running.send(post_bytes("/v1/completions", completion("SAY:to the end|")));
  harness.engine().allow(2);
  ASSERT_TRUE(http::TestServer::eventually([&] { return harness.engine().steps() == 2; }));
  harness.drain();
  ASSERT_TRUE(http::TestServer::eventually([&] { return harness.get("/health").status == 503; }));
  const RawAnswer refused = harness.post("/v1/completions", completion("SAY:no|"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("draining"), std::string::npos);
  harness.engine().release();
  EXPECT_EQ(whole(running.read_answer()).choices[0].content, "to the end");
  EXPECT_EQ(harness.wait_exit(), 0);
}

}  // namespace
}  // namespace dormouse::worker
