// Goal: what goes to somebody else's server is what the caller meant, and what comes back says our names. Method: JSON
// text in, JSON text out.
#include "worker/adopt/call_rewrite.h"

#include <gtest/gtest.h>

namespace dormouse::worker::adopt {
namespace {

const ModelNames kNames{.served = "ours", .upstream = "theirs"};

api::ErrorCode refusal(std::string_view body) {
  const api::ApiResult<OutgoingCall> call = rewrite_call(body, kNames);
  EXPECT_FALSE(call.has_value()) << body;
  return call.has_value() ? api::ErrorCode::kOverloaded : call.error().code;
}

TEST(CallRewrite, RenamesTheModelAndAsksForUsage) {
  const auto call = rewrite_call(R"({"model":"ours","stream":true,"temperature":0.7,"unknown":[1,null],)"
                                 R"("stream_options":{"x":1}})",
                                 kNames);
  ASSERT_TRUE(call.has_value());
  EXPECT_TRUE(call->stream);
  EXPECT_FALSE(call->include_usage);
  EXPECT_EQ(call->body, R"({"model": "theirs", "stream": true, "temperature": 0.7, "unknown": [1, null], )"
                        R"("stream_options": {"x": 1, "include_usage": true, "continuous_usage_stats": true}})");
}

TEST(CallRewrite, RemembersWhatTheCallerWants) {
  const auto call =
      rewrite_call(R"({"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}})", kNames);
  ASSERT_TRUE(call.has_value());
  EXPECT_TRUE(call->include_usage && call->continuous_usage);
  const auto whole = rewrite_call(R"({"prompt":"x","stream_options":null})", kNames);
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->body, R"({"prompt": "x", "model": "theirs"})");
}

TEST(CallRewrite, RefusesWhatItCannotRead) {
  EXPECT_EQ(refusal("{"), api::ErrorCode::kInvalidJson);
  EXPECT_EQ(refusal("[]"), api::ErrorCode::kInvalidValue);
  EXPECT_EQ(refusal("\"\xff\""), api::ErrorCode::kInvalidUtf8);
  EXPECT_EQ(refusal(std::string(100, '[')), api::ErrorCode::kJsonTooDeep);
  EXPECT_EQ(refusal(R"({"model":3})"), api::ErrorCode::kInvalidValue);
  EXPECT_EQ(refusal(R"({"model":"theirs"})"), api::ErrorCode::kModelNotFound);
  EXPECT_EQ(refusal(R"({"stream":"yes"})"), api::ErrorCode::kInvalidValue);
  EXPECT_EQ(refusal(R"({"stream":true,"stream_options":1})"), api::ErrorCode::kInvalidValue);
  EXPECT_EQ(refusal(R"({"stream":true,"stream_options":{"include_usage":1}})"), api::ErrorCode::kInvalidValue);
}

TEST(CallRewrite, RenamesTheModelOfAWholeAnswerAndReadsItsUsage) {
  const auto answer = rewrite_answer(
      R"({"id":"a","model":"theirs","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}})", kNames);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->usage.prompt_tokens, 3);
  EXPECT_EQ(answer->usage.completion_tokens, 5);
  EXPECT_NE(answer->body.find(R"("model": "ours")"), std::string::npos);
}

TEST(CallRewrite, CountsAWholeAnswerByItsLogprobsOrNotAtAll) {
  const auto counted =
      rewrite_answer(R"({"choices":[{"logprobs":{"content":[{},{}]}},{"logprobs":{"tokens":["a"]}}]})", kNames);
  ASSERT_TRUE(counted.has_value());
  EXPECT_EQ(counted->usage.completion_tokens, 3);
  EXPECT_NE(counted->body.find(R"("completion_tokens": 3)"), std::string::npos);
  const auto unknown = rewrite_answer(R"({"choices":[{"message":{"content":"two words"}}]})", kNames);
  ASSERT_TRUE(unknown.has_value());
  EXPECT_EQ(unknown->body.find("usage"), std::string::npos) << "a guess is no count";
}

TEST(CallRewrite, AnAnswerThatIsNoneIsAnError) {
  for (const char* body : {"", "<html>", "[1]", "null", R"({"error":{"message":"boom","code":500}})"}) {
    const auto answer = rewrite_answer(body, kNames);
    ASSERT_FALSE(answer.has_value()) << body;
    EXPECT_EQ(answer.error().code, api::ErrorCode::kInternalError) << body;
  }
}

TEST(CallRewrite, VectorsPassAsTheyAreUnderTheServedName) {
  const ModelNames names{.served = "ours", .upstream = "theirs"};
  const api::ApiResult<WholeAnswer> answer = rewrite_vectors(
      R"({"object":"list","data":[{"index":0,"embedding":[0.1]}],"model":"theirs","usage":{"prompt_tokens":3}})",
      names);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->usage.prompt_tokens, 3);
  EXPECT_NE(answer->body.find(R"([{"index":0,"embedding":[0.1]}])"), std::string::npos) << answer->body;
  EXPECT_NE(answer->body.find(R"("model":"ours")"), std::string::npos) << answer->body;
  EXPECT_FALSE(rewrite_vectors(R"({"choices":[]})", names).has_value());
  EXPECT_FALSE(rewrite_vectors("<html>", names).has_value());
}

TEST(CallRewrite, AnEngineWithoutVectorsIsToldApart) {
  struct Row {
    int status;
    const char* body;
    api::ErrorCode code;
  };
  const Row rows[] = {
      {501,
       R"({"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`",)"
       R"("type":"not_supported_error"}})",
       api::ErrorCode::kNotImplemented},
      {404, R"({"detail":"Not Found"})", api::ErrorCode::kNotImplemented},
      {400, R"({"error":{"message":"The model does not support Embeddings API","type":"BadRequestError"}})",
       api::ErrorCode::kNotImplemented},
      {500, R"({"error":{"message":"this model does not support embeddings","type":"api_error"}})",
       api::ErrorCode::kNotImplemented},
      {500, R"({"error":{"code":500,"message":"input is too large to process. increase the physical batch size"}})",
       api::ErrorCode::kContextLengthExceeded},
      {400, R"({"error":{"message":"/secret","type":"invalid_request_error"}})", api::ErrorCode::kInvalidValue},
      {500, "", api::ErrorCode::kInternalError},
  };
  for (const Row& row : rows) {
    const api::ApiError error = error_of_vectors(row.status, row.body);
    EXPECT_EQ(error.code, row.code) << row.status << " " << row.body;
    EXPECT_EQ(error.message.find("secret"), std::string::npos);
    EXPECT_EQ(error.message.find("llama-server") != std::string::npos, row.code == api::ErrorCode::kNotImplemented);
  }
}

TEST(CallRewrite, TellsTheKindOfAnErrorAndKeepsItsText) {
  struct Row {
    int status;
    const char* body;
    api::ErrorCode code;
  };
  const Row rows[] = {
      {400, R"({"error":{"message":"/secret","type":"invalid_request_error"}})", api::ErrorCode::kInvalidValue},
      {400, R"({"error":{"code":400,"type":"exceed_context_size_error"}})", api::ErrorCode::kContextLengthExceeded},
      {400, R"({"error":{"message":"This model's maximum context length is 8 tokens","type":"BadRequestError"}})",
       api::ErrorCode::kContextLengthExceeded},
      {400, R"({"object":"error","message":"maximum context length","code":400})",
       api::ErrorCode::kContextLengthExceeded},
      {401, "", api::ErrorCode::kInternalError},
      {404, "<html>", api::ErrorCode::kNotFound},
      {413, "", api::ErrorCode::kBodyTooLarge},
      {429, "slow down", api::ErrorCode::kOverloaded},
      {500, R"({"error":"boom"})", api::ErrorCode::kInternalError},
      {502, "", api::ErrorCode::kInternalError},
      {503, R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})",
       api::ErrorCode::kOverloaded},
      {504, "", api::ErrorCode::kGenerationTimeout},
  };
  for (const Row& row : rows) {
    const api::ApiError error = error_of_answer(row.status, row.body);
    EXPECT_EQ(error.code, row.code) << row.status << " " << row.body;
    EXPECT_EQ(error.message.find("secret"), std::string::npos);
  }
}

TEST(CallRewrite, FindsTheFirstModel) {
  EXPECT_EQ(first_model(R"({"data":[{"id":"a"},{"id":"b"}]})"), "a");
  for (const char* body : {"", "[]", "{}", R"({"data":[]})", R"({"data":[{"id":3}]})", R"({"data":{"id":"a"}})"}) {
    EXPECT_EQ(first_model(body), "") << body;
  }
}

TEST(CallRewrite, RenamesTheModelOfOtherRequestsOnly) {
  EXPECT_EQ(rename_model(R"({"model":"ours","input":"x"})", kNames), R"({"model": "theirs", "input": "x"})");
  for (const char* body : {"", "--boundary", "[]", R"({"model":"other"})", R"({"input":"x"})"}) {
    EXPECT_EQ(rename_model(body, kNames), body);
  }
}

}  // namespace
}  // namespace dormouse::worker::adopt
