// Goal: every message survives the way over the wire; nothing a peer sends does more than an error. Method: round trips
// at the extremes of every field, a table of hostile texts, every truncation.
#include "control/messages.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace dormouse::control {
namespace {

std::vector<Message> samples() {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::uint64_t kUMax = std::numeric_limits<std::uint64_t>::max();
  return {
      Hello{},
      Hello{1, "0.1.0", "ab12", kUMax, "unix:/run/睡 \"x\".sock", "fp", 4242},
      Progress{},
      Progress{"loading", 0.30000000000000004},
      Progress{"loading", 1},
      Ready{},
      Ready{"qwen3", "avx2", 16, 40960, 256, kMax, kMax},
      Ready{"", "", -1, -1, -1, std::numeric_limits<std::int64_t>::min(), 0},
      Stats{},
      Stats{kUMax, kMax, kMax, kUMax, 1},
      Failed{"model_invalid", "line\nbreak"},
      Drain{},
      Stop{},
      Welcome{},
  };
}

TEST(Messages, EveryMessageSurvivesTheWire) {
  for (const Message& message : samples()) {
    const std::string text = encode(message);
    const Result<Message> got = decode(text);
    ASSERT_TRUE(got) << text << got.error().message;
    EXPECT_EQ(got->index(), message.index());
    EXPECT_EQ(encode(*got), text);
  }
}

TEST(Messages, FieldsArriveUnchanged) {
  const auto hello = std::get<Hello>(*decode(encode(Hello{1, "b", "l", 7, "unix:/s", "t", 9})));
  EXPECT_EQ(hello.build, "b");
  EXPECT_EQ(hello.lease, "l");
  EXPECT_EQ(hello.epoch, 7U);
  EXPECT_EQ(hello.address, "unix:/s");
  EXPECT_EQ(hello.tls_fingerprint, "t");
  EXPECT_EQ(hello.pid, 9);
  const auto stats = std::get<Stats>(*decode(encode(Stats{1, 2, 3, 4, 5})));
  EXPECT_EQ(stats.steps, 1U);
  EXPECT_EQ(stats.running, 2);
  EXPECT_EQ(stats.waiting, 3);
  EXPECT_EQ(stats.prompt_tokens, 4U);
  EXPECT_EQ(stats.generated_tokens, 5U);
  EXPECT_EQ(std::get<Progress>(*decode(encode(Progress{"loading", 0.1}))).fraction, 0.1);
}

TEST(Messages, ANewerPeersFieldsAndTypesAreSkipped) {
  const auto stats = decode(R"({"type":"stats","steps":3,"added_later":{"a":[1]}})");
  ASSERT_TRUE(stats);
  EXPECT_EQ(std::get<Stats>(*stats).steps, 3U);
  EXPECT_EQ(decode(R"({"type":"telemetry","x":1})").error().code, Code::kNotFound);
}

TEST(Messages, HostileTextsAreErrors) {
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "null",
                                          "5",
                                          "[]",
                                          "\"hello\"",
                                          "{",
                                          "{}",
                                          R"({"type":5})",
                                          R"({"type":null})",
                                          R"({"type":["hello"]})",
                                          R"({"type":"hello","protocol":2})",
                                          R"({"type":"hello","protocol":0})",
                                          R"({"type":"hello","protocol":"1"})",
                                          R"({"type":"hello","protocol":4294967297})",
                                          R"({"type":"hello","protocol":1,"epoch":-1})",
                                          R"({"type":"hello","epoch":1.5})",
                                          R"({"type":"hello","epoch":18446744073709551616})",
                                          R"({"type":"hello","lease":5})",
                                          R"({"type":"hello","lease":null})",
                                          R"({"type":"hello","address":["unix:/x"]})",
                                          R"({"type":"hello","pid":"1"})",
                                          R"({"type":"hello","pid":1e3})",
                                          R"({"type":"progress","fraction":"0.5"})",
                                          R"({"type":"progress","fraction":-0.1})",
                                          R"({"type":"progress","fraction":1.1})",
                                          R"({"type":"progress","fraction":1e400})",
                                          R"({"type":"progress","phase":{}})",
                                          R"({"type":"ready","threads":2147483648})",
                                          R"({"type":"ready","threads":true})",
                                          R"({"type":"ready","kv_tokens":9223372036854775808})",
                                          R"({"type":"stats","steps":-1})",
                                          R"({"type":"stats","running":0.5})",
                                          R"({"type":"failed","code":1})",
                                          R"({"type":"drain"}x)",
                                          R"({"type":"drain",})",
                                          "{\"type\":\"drain\xff\"}",
                                          R"({"type":"drain","x":NaN})",
                                          "{\"type\":\"stop\",\"x\":" + std::string(1000, '[')};
  for (const std::string& text : texts) {
    const auto got = decode(text);
    ASSERT_FALSE(got) << text.substr(0, 80);
    EXPECT_EQ(got.error().code, Code::kInvalidArgument) << text.substr(0, 80);
  }
  EXPECT_EQ(decode(std::string(kMaxMessageBytes + 1, ' ')).error().code, Code::kTooLarge);
}

TEST(Messages, EveryTruncationIsAnError) {
  for (const Message& message : samples()) {
    const std::string text = encode(message);
    for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(decode(std::string_view(text).substr(0, size)));
  }
}

}  // namespace
}  // namespace dormouse::control
