// Goal: answers have exactly the fields clients need (peers-and-wire notes 4.1) and are read back whole. Method: the
// text parsed as JSON, and parse_chunk on our own and on other servers' output.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cmath>

#include "api/generation.h"

namespace dormouse::api {
namespace {

const ResponseHead kHead{"chatcmpl-1", 1700000000, "qwen3"};

Delta text(std::string content) {
  Delta delta;
  delta.content = std::move(content);
  return delta;
}

TEST(Response, ChunksFollowTheDialect) {
  const auto first = boost::json::parse(chat_chunk(kHead, Delta{}, true, std::nullopt, false));
  EXPECT_EQ(first.at("object").as_string(), "chat.completion.chunk");
  const auto& choice = first.at("choices").at(0);
  EXPECT_EQ(choice.at("delta").at("role").as_string(), "assistant");
  EXPECT_EQ(choice.at("delta").at("content").as_string(), "");
  EXPECT_TRUE(choice.at("finish_reason").is_null());
  EXPECT_FALSE(first.as_object().contains("usage"));

  Delta last;
  last.finish_reason = "stop";
  const auto end = boost::json::parse(chat_chunk(kHead, last, false, std::nullopt, true));
  EXPECT_TRUE(end.at("choices").at(0).at("delta").as_object().empty());
  EXPECT_EQ(end.at("choices").at(0).at("finish_reason").as_string(), "stop");
  EXPECT_TRUE(end.at("usage").is_null());

  Delta reasoning;
  reasoning.reasoning_content = "hm";
  const auto thought = boost::json::parse(chat_chunk(kHead, reasoning, false, Usage{3, 4, 2, 1}, false));
  EXPECT_EQ(thought.at("choices").at(0).at("delta").at("reasoning").as_string(), "hm");
  EXPECT_EQ(thought.at("choices").at(0).at("delta").at("reasoning_content").as_string(), "hm");
  EXPECT_EQ(thought.at("usage").at("total_tokens").as_int64(), 7);

  const auto usage = boost::json::parse(usage_chunk(kHead, GenerationRequest::Kind::kChat, Usage{3, 4, 2, 1}));
  EXPECT_TRUE(usage.at("choices").as_array().empty());
  EXPECT_EQ(usage.at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64(), 2);
  EXPECT_EQ(usage.at("usage").at("completion_tokens_details").at("reasoning_tokens").as_int64(), 1);
}

TEST(Response, WhatIsWrittenIsReadBack) {
  Delta delta = text("睡\"\n");
  delta.index = 1;
  delta.reasoning_content = "why";
  delta.finish_reason = "length";
  delta.logprobs = {{std::string("\xe7\x9d"), -0.5, {{"a", -1.0}, {"b", -2.5}}}};
  delta.tool_calls = {{0, "call_1", "f", "{\"x\""}, {1, "", "", ":1}"}};
  for (const std::string& json :
       {chat_chunk(kHead, delta, false, Usage{1, 2, 3, 4}, false), chat_response(kHead, {delta}, Usage{1, 2, 3, 4})}) {
    const auto got = parse_chunk(json);
    ASSERT_TRUE(got) << json;
    ASSERT_EQ(got->choices.size(), 1U);
    const Delta& back = got->choices[0];
    EXPECT_EQ(back.index, 1);
    EXPECT_EQ(back.content, delta.content);
    EXPECT_EQ(back.reasoning_content, "why");
    EXPECT_EQ(back.finish_reason, "length");
    ASSERT_EQ(back.logprobs.size(), 1U);
    EXPECT_EQ(back.logprobs[0].token, "\xe7\x9d");
    EXPECT_EQ(back.logprobs[0].top, delta.logprobs[0].top);
    ASSERT_EQ(back.tool_calls.size(), 2U);
    EXPECT_EQ(back.tool_calls[0].name, "f");
    EXPECT_EQ(back.tool_calls[1].index, 1);
    EXPECT_EQ(back.tool_calls[1].arguments, ":1}");
    EXPECT_EQ(got->usage->cached_tokens, 3);
    EXPECT_EQ(got->head.id, kHead.id);
    EXPECT_EQ(got->head.created, kHead.created);
  }
}

TEST(Response, ToolCallsAreWrittenAsClientsPutThemTogether) {
  Delta begin;
  begin.tool_calls = {{1, "call_x_1", "f", ""}};
  const auto first = boost::json::parse(chat_chunk(kHead, begin, false, std::nullopt, false));
  EXPECT_EQ(first.at("choices").at(0).at("delta"),
            boost::json::parse(R"({"tool_calls":[{"index":1,"id":"call_x_1","type":"function",
                                   "function":{"name":"f","arguments":""}}]})"));
  Delta more;
  more.tool_calls = {{1, "", "", "{\"a\""}};
  const auto next = boost::json::parse(chat_chunk(kHead, more, false, std::nullopt, false));
  EXPECT_EQ(next.at("choices").at(0).at("delta"),
            boost::json::parse(R"({"tool_calls":[{"index":1,"function":{"arguments":"{\"a\""}}]})"));
  Delta whole;
  whole.tool_calls = {{0, "call_x_0", "f", "{}"}};
  whole.finish_reason = "tool_calls";
  const auto body = boost::json::parse(chat_response(kHead, {whole}, Usage{}));
  EXPECT_EQ(body.at("choices").at(0).at("message"),
            boost::json::parse(R"({"role":"assistant","content":null,"tool_calls":[{"id":"call_x_0","type":"function",
                                   "function":{"name":"f","arguments":"{}"}}]})"));
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason").as_string(), "tool_calls");
}

TEST(Response, CompletionsHaveTheirOwnShape) {
  Delta delta = text("ab");
  delta.logprobs = {{"a", -0.5, {{"a", -0.5}}}, {"b", -std::numeric_limits<double>::infinity(), {}}};
  const auto json = boost::json::parse(completion_chunk(kHead, delta, std::nullopt, false));
  const auto& choice = json.at("choices").at(0);
  EXPECT_EQ(json.at("object").as_string(), "text_completion");
  EXPECT_EQ(choice.at("text").as_string(), "ab");
  EXPECT_EQ(choice.at("logprobs").at("text_offset").at(1).as_int64(), 1);
  EXPECT_EQ(choice.at("logprobs").at("token_logprobs").at(1).as_double(), -9999.0);
  const auto back = parse_chunk(completion_response(kHead, {delta, text("c")}, Usage{}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->choices.size(), 2U);
  EXPECT_EQ(back->choices[0].logprobs[0].top[0].second, -0.5);
  EXPECT_EQ(back->choices[1].content, "c");
}

// text_offset is where a token begins in the text of the whole answer: behind an echoed prompt, on from the chunk
// before, in characters, also where a token is half of one.
TEST(Response, OffsetsPointIntoTheWholeText) {
  Delta delta = text("月é!");
  delta.text_offset = 12;
  delta.logprobs = {{"月", -1, {}}, {"\xc3", -1, {}}, {"\xa9", -1, {}}, {"!", -1, {}}};
  const std::string body = completion_response(kHead, {delta}, Usage{});
  EXPECT_EQ(boost::json::parse(body).at("choices").at(0).at("logprobs").at("text_offset"),
            (boost::json::array{12, 13, 14, 14}));
  EXPECT_EQ(parse_chunk(body)->choices[0].text_offset, 12);
  for (const char* const lie : {"-5", "\"x\"", "null", "1e300"}) {
    std::string wrong = body;
    wrong.replace(wrong.find("[12,"), 4, std::string("[") + lie + ",");
    EXPECT_GE(parse_chunk(wrong)->choices[0].text_offset, 0) << lie;
  }
  EXPECT_EQ(characters(""), 0);
}

TEST(Response, ModelsAreListed) {
  const auto list = boost::json::parse(models_response({{"a", 1, 4096}, {"b", 2, 0}}));
  EXPECT_EQ(list.at("object").as_string(), "list");
  EXPECT_EQ(list.at("data").at(0).at("max_model_len").as_int64(), 4096);
  EXPECT_FALSE(list.at("data").at(1).as_object().contains("max_model_len"));
  EXPECT_EQ(boost::json::parse(model_response({"a", 1, 0})).at("owned_by").as_string(), "dormouse");
}

TEST(Response, OtherServersChunksAndErrorsAreUnderstood) {
  const auto vllm = parse_chunk(R"({"id":"x","object":"chat.completion.chunk","created":1,"model":"m",)"
                                R"("choices":[{"index":0,"delta":{"content":"a","reasoning_content":null},)"
                                R"("logprobs":null,"finish_reason":null,"stop_reason":null}],)"
                                R"("usage":{"prompt_tokens":5,"total_tokens":6,"completion_tokens":1}})");
  ASSERT_TRUE(vllm);
  EXPECT_EQ(vllm->choices[0].content, "a");
  EXPECT_EQ(vllm->usage->prompt_tokens, 5);
  EXPECT_FALSE(vllm->choices[0].finish_reason);

  const auto llama = parse_chunk(R"({"error":{"code":400,"message":"secret","type":"exceed_context_size_error"}})");
  ASSERT_TRUE(llama && llama->error);
  EXPECT_EQ(llama->error->code, ErrorCode::kContextLengthExceeded);
  EXPECT_EQ(llama->error->message, "");
  EXPECT_EQ(parse_chunk(R"({"error":{"code":503,"type":"unavailable_error"}})")->error->code, ErrorCode::kOverloaded);
  EXPECT_EQ(parse_chunk(R"({"error":"text"})")->error->code, ErrorCode::kInternalError);
  const auto own = parse_chunk(error_body({ErrorCode::kQueueFull, "", ""}));
  EXPECT_EQ(own->error->code, ErrorCode::kQueueFull);
}

TEST(Response, ChunksOfWrongTypesNeverBreakTheReader) {
  for (const char* json : {R"({})", R"({"choices":5})", R"({"choices":[5,null,{}]})",
                           R"({"choices":[{"index":-1,"delta":5,"message":[],"text":{}}]})",
                           R"({"choices":[{"index":1e300,"finish_reason":5,)"
                           R"("logprobs":{"content":[5,{"bytes":["x",-1,300]}],"tokens":5}}]})",
                           R"({"usage":{"prompt_tokens":-5,"completion_tokens":"x","prompt_tokens_details":5}})",
                           R"({"choices":[{"delta":{"tool_calls":[5,{"function":5}]}}]})"}) {
    const auto got = parse_chunk(json);
    ASSERT_TRUE(got) << json;
    if (got->usage) {
      EXPECT_EQ(got->usage->prompt_tokens, 0) << "a negative count would be a credit";
    }
  }
  for (const char* json : {"", "[]", "x", "{", "[DONE]"}) {
    ASSERT_FALSE(parse_chunk(json));
    EXPECT_EQ(parse_chunk(json).error().code, Code::kDataLoss);
  }
}

}  // namespace
}  // namespace dormouse::api
