// Goal: what Ollama's clients send for vectors means what it means to Ollama, and they read what they parse. Method:
// bodies in, values and text out.
#include "gateway/dialect/ollama_embed.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

api::EmbeddingsRequest read(const char* body, OllamaVectors shape = OllamaVectors::kMany) {
  const api::ApiResult<OllamaEmbedRequest> got = parse_ollama_embed(body, shape);
  EXPECT_TRUE(got.has_value()) << body << got.error().message;
  return got.has_value() ? got->request : api::EmbeddingsRequest{};
}

TEST(OllamaEmbed, TextsAreWhatOpenAiCallsInput) {
  const api::EmbeddingsRequest many =
      read(R"({"model":"m","input":["月","b"],"dimensions":8,"keep_alive":"5m","options":{"num_ctx":64},"what":1})");
  EXPECT_EQ(many.model, "m");
  EXPECT_EQ(many.inputs, (std::vector<api::EmbeddingInput>{std::string("月"), std::string("b")}));
  EXPECT_EQ(many.dimensions, 8);
  EXPECT_TRUE(many.truncate) << "Ollama cuts unless it is told not to";
  EXPECT_EQ(many.encoding, api::VectorEncoding::kFloat);
  EXPECT_EQ(many.ignored_fields, 1U);
  EXPECT_FALSE(read(R"({"input":"x","truncate":false})").truncate);
  EXPECT_FALSE(read(R"({"input":"x","dimensions":0})").dimensions.has_value());
  EXPECT_EQ(read(R"({"name":"old","prompt":"x"})", OllamaVectors::kOne).model, "old");
  EXPECT_EQ(read(R"({"prompt":"x"})", OllamaVectors::kOne).inputs.size(), 1U);
  EXPECT_EQ(parse_ollama_embed(R"({"input":"x","keep_alive":300})", OllamaVectors::kMany)->keep_alive,
            std::chrono::seconds(300));
  for (const char* nothing : {"{}", R"({"input":""})", R"({"input":[]})", R"({"input":null,"model":"m"})"}) {
    EXPECT_TRUE(read(nothing).inputs.empty()) << nothing;
  }
}

TEST(OllamaEmbed, WhatIsWrongIsNamedAsItWasSent) {
  struct Row {
    const char* body;
    OllamaVectors shape;
    const char* param;
  };
  for (const Row& row : {Row{R"({"input":[1,2]})", OllamaVectors::kMany, "input"},
                         Row{R"({"input":["a",1]})", OllamaVectors::kMany, "input"},
                         Row{R"({"input":["a",""]})", OllamaVectors::kMany, "input"},
                         Row{R"({"input":7})", OllamaVectors::kMany, "input"},
                         Row{R"({"input":"x","truncate":"yes"})", OllamaVectors::kMany, "truncate"},
                         Row{R"({"input":"x","dimensions":-1})", OllamaVectors::kMany, "dimensions"},
                         Row{R"({"input":"x","keep_alive":"soon"})", OllamaVectors::kMany, "keep_alive"},
                         Row{R"({"prompt":["a"]})", OllamaVectors::kOne, "prompt"},
                         Row{R"({"prompt":"a","options":7})", OllamaVectors::kOne, "options"}}) {
    const api::ApiResult<OllamaEmbedRequest> got = parse_ollama_embed(row.body, row.shape);
    ASSERT_FALSE(got.has_value()) << row.body;
    EXPECT_EQ(got.error().param, row.param) << row.body;
  }
  EXPECT_FALSE(parse_ollama_embed("[]", OllamaVectors::kMany).has_value());
  EXPECT_FALSE(parse_ollama_embed("{", OllamaVectors::kOne).has_value());
}

TEST(OllamaEmbed, VectorsComeInTheOrderOfTheInputsWithNanoseconds) {
  const char* answer =
      R"({"object":"list","data":[{"index":1,"embedding":[-1e-3,2]},{"embedding":[0.5, 0.25],"index":0}],)"
      R"("model":"theirs","usage":{"prompt_tokens":7,"total_tokens":7}})";
  const OllamaEmbedTimes times{.total = std::chrono::milliseconds(3), .load = std::chrono::milliseconds(1)};
  const Result<api::EmbeddingsAnswer> many = ollama_vectors(OllamaVectors::kMany, "m\"", answer, times);
  ASSERT_TRUE(many.has_value()) << many.error().message;
  EXPECT_EQ(many->prompt_tokens, 7);
  const json::value shown = json::parse(many->body);
  EXPECT_EQ(shown.at("model"), "m\"");
  EXPECT_EQ(shown.at("embeddings"), (json::array{json::array{0.5, 0.25}, json::array{-1e-3, 2}}));
  EXPECT_EQ(shown.at("total_duration"), 3'000'000);
  EXPECT_EQ(shown.at("load_duration"), 1'000'000);
  EXPECT_EQ(shown.at("prompt_eval_count"), 7);
  EXPECT_FALSE(ollama_vectors(OllamaVectors::kOne, "m", answer, times).has_value()) << "two, where one was asked for";
  const Result<api::EmbeddingsAnswer> one =
      ollama_vectors(OllamaVectors::kOne, "m", R"({"data":[{"index":0,"embedding":[1]}]})", times);
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->body, R"({"embedding":[1]})");
  EXPECT_EQ(json::parse(ollama_no_vectors(OllamaVectors::kMany, "m")).at("embeddings"), json::array{});
}

}  // namespace
}  // namespace dormouse::gateway
