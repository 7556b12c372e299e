// Goal: every form of input is read, every wrong one refused by the name of its field, and the answer is what OpenAI's
// client decodes. Method: tables of bodies; base64 against values worked out by hand.
#include "api/embeddings.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

namespace dormouse::api {
namespace {

namespace json = boost::json;
using Ids = std::vector<std::int32_t>;

TEST(Embeddings, EveryFormOfInputIsReadAndSurvivesTheWayToTheUpstream) {
  struct Case {
    const char* body;
    std::vector<EmbeddingInput> inputs;
  };
  for (const Case& c :
       {Case{R"({"input":"月"})", {std::string("月")}},
        Case{R"({"input":["a","\"b\""]})", {std::string("a"), std::string("\"b\"")}},
        Case{R"({"input":[1,2,3]})", {Ids{1, 2, 3}}}, Case{R"({"input":[[1],[2,3.0]]})", {Ids{1}, Ids{2, 3}}},
        Case{R"({"input":["a",[7]]})", {std::string("a"), Ids{7}}}}) {
    const ApiResult<EmbeddingsRequest> read = parse_embeddings_request(c.body);
    ASSERT_TRUE(read.has_value()) << c.body << read.error().message;
    EXPECT_EQ(read->inputs, c.inputs) << c.body;
    EXPECT_EQ(read->encoding, VectorEncoding::kFloat);
    EXPECT_EQ(read->ignored_fields, 0U);
    const ApiResult<EmbeddingsRequest> again = parse_embeddings_request(to_json(*read));
    ASSERT_TRUE(again.has_value()) << to_json(*read);
    EXPECT_EQ(again->inputs, c.inputs);
  }
  const char* all = R"({"model":"m","input":"x","dimensions":64,"pooling":"last","encoding_format":"base64",)"
                    R"("truncate":true,"user":"u","zip":1})";
  const ApiResult<EmbeddingsRequest> read = parse_embeddings_request(all);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->model, "m");
  EXPECT_EQ(read->ignored_fields, 1U);
  EXPECT_EQ(to_json(*read),
            R"({"input":["x"],"encoding_format":"base64","dimensions":64,"pooling":"last","truncate":true})");
}

TEST(Embeddings, VectorsAreReadAsTextInTheOrderOfTheInputs) {
  const std::string body =
      R"({"data":[{"index":1,"embedding":[-1.5e-3, 2]},{"object":"embedding","embedding":[],"index":0}],)"
      R"("usage":{"total_tokens":9}})";
  const Result<EmbeddingTexts> read = read_embeddings(body);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->prompt_tokens, 9);
  EXPECT_EQ(read->vectors, (std::vector<std::string_view>{"[]", "[-1.5e-3, 2]"}));
  EXPECT_TRUE(read_embeddings(R"({"data":[]})")->vectors.empty());
  const std::string one = R"({"data":[{"embedding":[1]},)";
  for (const std::string& wrong :
       {std::string(R"({"data":[{"embedding":"AAAA"}]})"), std::string(R"({"data":[7]})"), std::string(R"({"data":7})"),
        std::string(R"({"data":[{"index":0}]})"), std::string(R"({"data":[{"embedding":[1],"index":1}]})"),
        std::string(R"({"data":[{"embedding":[1],"index":-1}]})"), one + R"({"embedding":[1],"index":0}]})", one + "]}",
        one, one + R"({"embedding":[1})", std::string("[]"), std::string()}) {
    EXPECT_FALSE(read_embeddings(wrong).has_value()) << wrong;
  }
}

TEST(Embeddings, WhatIsWrongIsRefusedByItsName) {
  struct Case {
    std::string body;
    std::string param;
  };
  std::string many = R"({"input":["a")";
  for (std::size_t i = 0; i < kMaxEmbeddingInputs; ++i) many += R"(,"a")";
  many += "]}";
  for (const Case& c : {Case{"{}", "input"},
                        Case{R"({"input":""})", "input"},
                        Case{R"({"input":[]})", "input"},
                        Case{R"({"input":["a",""]})", "input"},
                        Case{R"({"input":[[]]})", "input"},
                        Case{R"({"input":[-1]})", "input"},
                        Case{R"({"input":[1.5]})", "input"},
                        Case{R"({"input":[4294967296]})", "input"},
                        Case{R"({"input":{"a":1}})", "input"},
                        Case{R"({"input":[1,"a"]})", "input"},
                        Case{R"({"input":["a",3]})", "input"},
                        Case{many, "input"},
                        Case{R"({"input":"a","dimensions":0})", "dimensions"},
                        Case{R"({"input":"a","dimensions":"8"})", "dimensions"},
                        Case{R"({"input":"a","pooling":"cls"})", "pooling"},
                        Case{R"({"input":"a","truncate":1})", "truncate"},
                        Case{R"({"input":"a","encoding_format":"int8"})", "encoding_format"},
                        Case{R"({"input":"a","model":7})", "model"},
                        Case{"[1]", ""},
                        Case{R"({"input":"a)", ""}}) {
    const ApiResult<EmbeddingsRequest> read = parse_embeddings_request(c.body);
    ASSERT_FALSE(read.has_value()) << c.body.substr(0, 80);
    EXPECT_EQ(read.error().param, c.param) << c.body.substr(0, 80);
    EXPECT_EQ(row(read.error().code).status, 400);
  }
}

TEST(Embeddings, TheAnswerIsFloatsOrTheirBytes) {
  const std::vector<float> first = {1.0F, -0.5F};
  const std::vector<float> second = {0.1F, std::numeric_limits<float>::min()};
  EmbeddingsWriter floats(VectorEncoding::kFloat);
  floats.add(first);
  floats.add(second);
  EXPECT_EQ(floats.finish("m\"n", 7),
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,-0.5]},)"
            R"({"object":"embedding","index":1,"embedding":[0.1,1.1754944e-38]}],)"
            R"("model":"m\"n","usage":{"prompt_tokens":7,"total_tokens":7}})");
  // 1.0f is 00 00 80 3f and -0.5f 00 00 00 bf: one byte of each remainder of 3.
  EmbeddingsWriter bytes(VectorEncoding::kBase64);
  bytes.add(first);
  bytes.add(std::span(first).first(1));
  bytes.add(std::vector<float>{1.0F, 1.0F, 1.0F});
  const json::value answer = json::parse(bytes.finish("m", 1));
  EXPECT_EQ(answer.at("data").at(0).at("embedding").as_string(), "AACAPwAAAL8=");
  EXPECT_EQ(answer.at("data").at(1).at("embedding").as_string(), "AACAPw==");
  EXPECT_EQ(answer.at("data").at(2).at("embedding").as_string(), "AACAPwAAgD8AAIA/");
}

TEST(Embeddings, AnybodysAnswerGetsOurModelsNameAndKeepsItsVectors) {
  const char* theirs =
      "{ \"model\" : \"gguf\\\"\\\\\", \"object\":\"list\",\n \"usage\":{\"prompt_tokens\":5,\"total_tokens\":5},"
      "\"data\": [{\"embedding\":[0.25,1e-3],\"note\":\"]}\\\"\",\"index\":0}], \"extra\": null }";
  const Result<EmbeddingsAnswer> ours = rename_embeddings(theirs, "chat");
  ASSERT_TRUE(ours.has_value()) << ours.error().message;
  EXPECT_EQ(ours->prompt_tokens, 5);
  EXPECT_EQ(ours->body, R"({"object":"list","data":[{"embedding":[0.25,1e-3],"note":"]}\"","index":0}],)"
                        R"("model":"chat","usage":{"prompt_tokens":5,"total_tokens":5}})");
  const Result<EmbeddingsAnswer> without = rename_embeddings(R"({"data":[]})", "chat");
  ASSERT_TRUE(without.has_value());
  EXPECT_EQ(without->prompt_tokens, 0);
  for (const char* broken :
       {"", "[]", "{", "{}", R"({"data":{}})", R"({"data":[)", R"({"data":[]]})", R"({"data":[]} x)", R"({"data")",
        R"({"data":"[]"})", R"({"a":"\)", R"({data:[]})", R"({"data":[],})"}) {
    EXPECT_FALSE(rename_embeddings(broken, "chat").has_value()) << broken;
  }
}

}  // namespace
}  // namespace dormouse::api
