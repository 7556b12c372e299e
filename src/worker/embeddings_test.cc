// Goal: /v1/embeddings gives each text its own vector, whatever else is asked at once, and refuses what it must.
// Method: a worker with the fake engine, whose states are a hash of the text so far, over a socket; a pool fed by hand.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <future>

#include "worker/state_pool.h"
#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;
using Vector = std::vector<double>;

std::vector<Vector> vectors_of(const http::RawAnswer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  std::vector<Vector> out;
  if (answer.status != 200) return out;
  const json::value body = json::parse(answer.body);
  for (const json::value& item : body.at("data").as_array()) {
    EXPECT_EQ(item.at("index").to_number<std::size_t>(), out.size());
    Vector& vector = out.emplace_back();
    for (const json::value& number : item.at("embedding").as_array()) vector.push_back(number.to_number<double>());
  }
  return out;
}

std::string error_code(const http::RawAnswer& answer) {
  return std::string(json::parse(answer.body).at("error").at("code").as_string());
}

double length_of(const Vector& vector) {
  double squares = 0;
  for (const double x : vector) squares += x * x;
  return std::sqrt(squares);
}

TEST(WorkerEmbeddings, ATextHasTheSameVectorAloneAmongManyAndAsTokens) {
  WorkerHarness harness;
  ASSERT_TRUE(harness.wait_ready());
  const auto ask = [&](const std::string& input, const std::string& more = "") {
    return vectors_of(harness.post("/v1/embeddings", R"({"model":"fake","input":)" + input + more + "}"));
  };
  const std::vector<Vector> alone = ask(R"("the moon over the river")");
  ASSERT_EQ(alone.size(), 1U);
  ASSERT_EQ(alone[0].size(), 8U);
  EXPECT_NEAR(length_of(alone[0]), 1.0, 1e-6);
  // More inputs than are computed at once, of all lengths up to several steps.
  std::string many = R"(["the moon over the river")";
  for (int i = 0; i < 70; ++i) many += ",\"" + std::string(static_cast<std::size_t>(1 + i * 3), 'x') + "\"";
  many += R"(,"the moon over the river"])";
  const std::vector<Vector> all = ask(many);
  ASSERT_EQ(all.size(), 72U);
  EXPECT_EQ(all.front(), alone[0]);
  EXPECT_EQ(all.back(), alone[0]);
  EXPECT_NE(all[1], alone[0]);
  const json::value tokens =
      json::parse(harness.post("/tokenize", R"({"prompt":"the moon over the river"})").body).at("tokens");
  EXPECT_EQ(ask(json::serialize(tokens))[0], alone[0]);
  EXPECT_EQ(ask(json::serialize(json::array{tokens}))[0], alone[0]);
  EXPECT_NE(ask(R"("the moon over the river")", R"(,"pooling":"last")")[0], alone[0]);
  EXPECT_EQ(ask(R"("the moon over the river")", R"(,"pooling":"mean")")[0], alone[0]) << "the name does not say last";
}

TEST(WorkerEmbeddings, CompanyInTheBatchDoesNotShow) {
  WorkerHarness harness;
  ASSERT_TRUE(harness.wait_ready());
  const std::string body = R"({"input":")" + std::string(150, 'm') + R"("})";
  const std::vector<Vector> alone = vectors_of(harness.post("/v1/embeddings", body));
  std::vector<std::future<std::string>> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(std::async(std::launch::async, [&harness] {
      return harness.post("/v1/completions", R"({"prompt":"abc","max_tokens":60,"stream":true})").body;
    }));
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(vectors_of(harness.post("/v1/embeddings", body)), alone);
  for (auto& stream : streams) EXPECT_NE(stream.get().find("[DONE]"), std::string::npos);
}

TEST(WorkerEmbeddings, Base64HoldsTheSameNumbers) {
  WorkerHarness harness;
  ASSERT_TRUE(harness.wait_ready());
  const Vector floats = vectors_of(harness.post("/v1/embeddings", R"({"input":"qz"})"))[0];
  const http::RawAnswer answer = harness.post("/v1/embeddings", R"({"input":"qz","encoding_format":"base64"})");
  ASSERT_EQ(answer.status, 200);
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(body.at("model").as_string(), "fake");
  EXPECT_EQ(body.at("usage").at("prompt_tokens").to_number<int>(), 2);
  const std::string text(body.at("data").at(0).at("embedding").as_string());
  ASSERT_EQ(text.size(), 44U) << "32 bytes";
  std::uint32_t bits = 0;
  std::string bytes;
  for (std::size_t i = 0; i < text.size() && text[i] != '='; ++i) {
    const auto digit =
        std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(text[i]);
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    if (i % 4 != 0) bytes += static_cast<char>(bits >> (6 - 2 * (i % 4)));
  }
  for (std::size_t i = 0; i < floats.size(); ++i) {
    float value = 0;
    std::memcpy(&value, bytes.data() + 4 * i, sizeof value);
    EXPECT_EQ(static_cast<double>(value), static_cast<double>(static_cast<float>(floats[i])));
  }
}

TEST(WorkerEmbeddings, FewerDimensionsAreTheFirstOnesOfLengthOne) {
  WorkerHarness harness;
  ASSERT_TRUE(harness.wait_ready());
  const Vector whole = vectors_of(harness.post("/v1/embeddings", R"({"input":"qz"})"))[0];
  const Vector part = vectors_of(harness.post("/v1/embeddings", R"({"input":"qz","dimensions":3})"))[0];
  ASSERT_EQ(part.size(), 3U);
  EXPECT_NEAR(length_of(part), 1.0, 1e-6);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(part[i] / part[0], whole[i] / whole[0], 1e-5);
}

TEST(WorkerEmbeddings, WhatCannotBeIsRefusedAndTheEngineLives) {
  WorkerHarness::Options options;
  options.model.context_length = 100;
  WorkerHarness harness(std::move(options));
  ASSERT_TRUE(harness.wait_ready());
  const http::RawAnswer long_one =
      harness.post("/v1/embeddings", R"({"input":["a",")" + std::string(130, 'q') + R"("]})");
  EXPECT_EQ(long_one.status, 400);
  EXPECT_EQ(error_code(long_one), "context_length_exceeded");
  EXPECT_NE(long_one.body.find("input[1] has 130 tokens; the model's context takes 100, which is 30 too many"),
            std::string::npos)
      << long_one.body;
  EXPECT_EQ(vectors_of(harness.post("/v1/embeddings", R"({"input":")" + std::string(100, 'q') + R"("})")).size(), 1U);
  const std::vector<Vector> cut =
      vectors_of(harness.post("/v1/embeddings", R"({"truncate":true,"input":["a",")" + std::string(100, 'q') +
                                                    std::string(30, 'z') + R"("]})"));
  EXPECT_EQ(cut.at(1),
            vectors_of(harness.post("/v1/embeddings", R"({"input":")" + std::string(100, 'q') + R"("})")).at(0));
  const http::RawAnswer admitted =
      harness.post("/v1/embeddings", R"({"input":["qqq","zzz"]})", "x-dormouse-max-prompt-tokens: 5\r\n");
  EXPECT_EQ(error_code(admitted), "context_length_exceeded");
  EXPECT_NE(admitted.body.find("1 too many"), std::string::npos) << admitted.body;
  EXPECT_EQ(error_code(harness.post("/v1/embeddings", R"({"input":[999999]})")), "invalid_value");
  EXPECT_EQ(error_code(harness.post("/v1/embeddings", R"({"input":"a","dimensions":9})")), "invalid_value");
  EXPECT_EQ(error_code(harness.post("/v1/embeddings", R"({"input":"a","model":"other"})")), "model_not_found");
  EXPECT_EQ(harness.get("/v1/embeddings").status, 405);
  // The step fails, or the states are no numbers: this request's end, and nobody else's.
  EXPECT_EQ(error_code(harness.post("/v1/embeddings", R"({"input":["a","BOOM","b"]})")), "internal_error");
  EXPECT_EQ(error_code(harness.post("/v1/embeddings", R"({"input":["a","NAN!"]})")), "internal_error");
  EXPECT_EQ(vectors_of(harness.post("/v1/embeddings", R"({"input":["a","b"]})")).size(), 2U);
  EXPECT_EQ(harness.metric("vllm:num_requests_running"), 0);
}

TEST(StatePool, MeanAndLastBeginAnewAtPositionZero) {
  StatePool mean(api::Pooling::kMean, 2);
  mean.add(0, std::vector<float>{100, 100});  // before a preemption
  mean.add(0, std::vector<float>{3, 0, 0, 1});
  mean.add(2, std::vector<float>{0, 3});
  const Result<std::vector<float>> a = mean.vector();
  ASSERT_TRUE(a.has_value());
  EXPECT_FLOAT_EQ((*a)[0], 0.6F);
  EXPECT_FLOAT_EQ((*a)[1], 0.8F);
  StatePool last(api::Pooling::kLast, 2);
  last.add(0, std::vector<float>{1, 1, 9, 9});
  last.add(2, std::vector<float>{5, 5, 0, -2});
  EXPECT_EQ(*last.vector(), (std::vector<float>{0, -1}));
  StatePool nothing(api::Pooling::kMean, 2);
  nothing.add(0, std::vector<float>{1, 0, -1, 0});
  EXPECT_FALSE(nothing.vector().has_value()) << "no direction";
}

}  // namespace
}  // namespace dormouse::worker
