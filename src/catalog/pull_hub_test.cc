// Goal: what the hubs answer is read, and what is not what was expected is refused, whatever it is. Method: answers in
// the shapes that the hubs' own clients read.
#include "catalog/pull_hub.h"

#include <gtest/gtest.h>

namespace dormouse::catalog {
namespace {

const std::string kHash(64, 'a');
const HubFile kAtHuggingFace{Hub::kHuggingFace, "Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf"};
const HubFile kAtModelScope{Hub::kModelScope, "Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf"};

TEST(PullHub, AddressesAreTheHubsOwn) {
  const HubEndpoints usual;
  EXPECT_EQ(file_url(usual, kAtHuggingFace)->to_string(),
            "https://huggingface.co/Qwen/Qwen3-4B-GGUF/resolve/main/Qwen3-4B-Q4_K_M.gguf");
  EXPECT_EQ(file_url(usual, kAtModelScope)->to_string(),
            "https://www.modelscope.cn/models/Qwen/Qwen3-4B-GGUF/resolve/master/Qwen3-4B-Q4_K_M.gguf");
  EXPECT_EQ(listing_url(usual, kAtHuggingFace)->to_string(),
            "https://huggingface.co/api/models/Qwen/Qwen3-4B-GGUF?blobs=true");
  HubEndpoints mirror;
  mirror.huggingface = "https://hf-mirror.com/";
  EXPECT_EQ(file_url(mirror, kAtHuggingFace)->host, "hf-mirror.com");
  mirror.huggingface = "hf-mirror.com";
  EXPECT_FALSE(file_url(mirror, kAtHuggingFace).has_value());
}

TEST(PullHub, HeadersSayWhatTheFileIs) {
  http::Headers headers;
  headers.set("X-Linked-Etag", "\"" + kHash + "\"");
  headers.set("X-Linked-Size", "2497280256");
  EXPECT_EQ(facts_of(headers).sha256, kHash);
  EXPECT_EQ(facts_of(headers).bytes, 2'497'280'256);
  for (const std::string wrong : {"", "-1", "1x", "99999999999999999999", "9007199254740993"}) {
    headers.set("x-linked-size", wrong);
    EXPECT_EQ(facts_of(headers).bytes, 0) << wrong;
  }
  for (const std::string& wrong :
       {std::string("\"abc\""), std::string(64, 'G'), std::string(63, 'a'), std::string("\"")}) {
    headers.set("x-linked-etag", wrong);
    EXPECT_EQ(facts_of(headers).sha256, "") << wrong;
  }
}

TEST(PullHub, ListingsSayWhatTheFileIs) {
  const std::string huggingface = R"({"id":"Qwen/Qwen3-4B-GGUF","siblings":[{"rfilename":"README.md","size":9},)"
                                  R"({"rfilename":"Qwen3-4B-Q4_K_M.gguf","size":77,"lfs":{"sha256":")" +
                                  kHash + R"(","size":77,"pointerSize":135}}]})";
  EXPECT_EQ(facts_in_listing(kAtHuggingFace, huggingface)->sha256, kHash);
  EXPECT_EQ(facts_in_listing(kAtHuggingFace, huggingface)->bytes, 77);
  const std::string modelscope = R"({"Code":200,"Data":{"Files":[{"Path":"Qwen3-4B-Q4_K_M.gguf","Size":78,"Sha256":")" +
                                 kHash + R"(","Type":"blob"}]},"Success":true})";
  EXPECT_EQ(facts_in_listing(kAtModelScope, modelscope)->sha256, kHash);
  EXPECT_EQ(facts_in_listing(kAtModelScope, modelscope)->bytes, 78);
  const auto absent = facts_in_listing(kAtHuggingFace, R"({"siblings":[]})");
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, Code::kNotFound);
}

TEST(PullHub, OddListingsAreRefused) {
  const std::string deep(2'000, '[');
  for (const std::string& text : {std::string(), std::string("<html>"), std::string("[]"), std::string("{}"),
                                  std::string(R"({"siblings":{}})"), std::string(R"({"Data":[]})"), deep}) {
    for (const HubFile& file : {kAtHuggingFace, kAtModelScope}) {
      const auto facts = facts_in_listing(file, text);
      ASSERT_FALSE(facts.has_value()) << text.substr(0, 40);
      EXPECT_EQ(facts.error().code, Code::kUnavailable);
    }
  }
  // Of the right shape with wrong values: nothing is believed.
  const auto odd = facts_in_listing(
      kAtHuggingFace, R"({"siblings":[7,{"rfilename":"Qwen3-4B-Q4_K_M.gguf","size":-4,"lfs":{"sha256":"../../x"}}]})");
  ASSERT_TRUE(odd.has_value());
  EXPECT_EQ(odd->bytes, 0);
  EXPECT_EQ(odd->sha256, "");
}

}  // namespace
}  // namespace dormouse::catalog
