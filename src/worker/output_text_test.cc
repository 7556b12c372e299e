// Goal: what leaves a worker is whole characters, never a stop string, reasoning apart from content. Method: tables of
// tokens with the text they must give, and a search over every way of cutting a text into tokens.
#include "worker/output_text.h"

#include <gtest/gtest.h>

namespace dormouse::worker {
namespace {

constexpr text::TokenId kThink = 1000;
constexpr text::TokenId kEndThink = 1001;

OutputOptions options(ThinkingStart thinking, std::vector<std::string> stops = {}) {
  return {.thinking = thinking, .think = kThink, .end_think = kEndThink, .stops = std::move(stops)};
}

struct Result {
  std::string content;
  std::string reasoning;
  bool stopped = false;
};

// "<think>" and "</think>" among the pieces are the tokens; anything else is a token of those bytes.
Result run(OutputText output, const std::vector<std::string>& tokens) {
  Result out;
  const auto add = [&out](OutputPiece piece) {
    out.content += piece.content;
    out.reasoning += piece.reasoning;
  };
  for (const std::string& token : tokens) {
    const text::TokenId id = token == "<think>" ? kThink : token == "</think>" ? kEndThink : 7;
    add(output.push(id, token));
    if (output.stopped()) break;
  }
  out.stopped = output.stopped();
  add(output.finish());
  return out;
}

TEST(OutputText, ReasoningIsEverythingUpToTheEndTagAndTheTemplatesNewlinesAreNobodys) {
  const Result r = run(OutputText(options(ThinkingStart::kInContent)),
                       {"<think>", "\n", "Let me", "\n\nsee", ".\n", "\n", "</think>", "\n\n", "It is ", "4."});
  EXPECT_EQ(r.reasoning, "Let me\n\nsee.");
  EXPECT_EQ(r.content, "It is 4.");
}

TEST(OutputText, APromptThatEndedInsideThinkStartsInReasoning) {
  const Result r = run(OutputText(options(ThinkingStart::kInside)), {"hm", "</think>", "\n\n", "yes"});
  EXPECT_EQ(r.reasoning, "hm");
  EXPECT_EQ(r.content, "yes");
  const Result cut = run(OutputText(options(ThinkingStart::kInside)), {"hm", " hm"});
  EXPECT_EQ(cut.reasoning, "hm hm");
  EXPECT_EQ(cut.content, "");
}

TEST(OutputText, TagsInARunningAnswerAreText) {
  const Result late = run(OutputText(options(ThinkingStart::kInContent)), {"the tag ", "<think>", " opens"});
  EXPECT_EQ(late.content, "the tag <think> opens");
  const Result raw = run(OutputText(options(ThinkingStart::kNever)), {"<think>", "x", "</think>"});
  EXPECT_EQ(raw.content, "<think>x</think>");
  EXPECT_EQ(raw.reasoning, "");
}

TEST(OutputText, ReasoningTokensCountTheTags) {
  OutputText output(options(ThinkingStart::kInContent));
  static_cast<void>(output.push(kThink, "<think>"));
  static_cast<void>(output.push(5, "a"));
  static_cast<void>(output.push(kEndThink, "</think>"));
  static_cast<void>(output.push(6, "b"));
  EXPECT_EQ(output.reasoning_tokens(), 3);
}

TEST(OutputText, HalfACharacterWaitsAndALostHalfIsReplaced) {
  OutputText output(options(ThinkingStart::kNever));
  EXPECT_EQ(output.push(1, "\xE7\x9D").content, "");
  EXPECT_EQ(output.push(2, "\xA1").content, "睡");
  EXPECT_EQ(output.push(3, "\xE9").content, "");
  EXPECT_EQ(output.finish().content, "\xEF\xBF\xBD");
}

TEST(OutputText, AStopStringIsNeverSeenHoweverItIsCutIntoTokens) {
  const std::string text = "one two END three";
  // Every way of cutting a 17-byte text with the borders around the stop string: 2^16.
  for (unsigned cuts = 0; cuts < (1U << 16); ++cuts) {
    std::vector<std::string> tokens(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      tokens.back() += text[i];
      if (i < 16 && ((cuts >> i) & 1U) != 0) tokens.emplace_back();
    }
    const Result r = run(OutputText(options(ThinkingStart::kNever, {"END", "ENDE"})), tokens);
    ASSERT_EQ(r.content, "one two ") << "cuts " << cuts;
    ASSERT_TRUE(r.stopped);
  }
}

TEST(OutputText, WhatOnlyLookedLikeAStopStringComesOut) {
  OutputText output(options(ThinkingStart::kNever, {"\n\n", "STOP"}));
  EXPECT_EQ(output.push(1, "a\n").content, "a");
  EXPECT_EQ(output.push(2, "bST").content, "\nb");
  EXPECT_EQ(output.push(3, "O").content, "");
  EXPECT_EQ(output.finish().content, "STO");
  EXPECT_FALSE(output.stopped());
}

TEST(OutputText, TheEarliestOfSeveralStopsWins) {
  const Result r = run(OutputText(options(ThinkingStart::kNever, {"world", "lo w", "zzz"})), {"hello world"});
  EXPECT_EQ(r.content, "hel");
}

TEST(OutputText, StopsAreNotLookedForInReasoning) {
  const Result r =
      run(OutputText(options(ThinkingStart::kInContent, {"\n\n"})), {"<think>", "a\n\nb", "</think>", "\n\nx\n\ny"});
  EXPECT_EQ(r.reasoning, "a\n\nb");
  EXPECT_EQ(r.content, "x");
}

}  // namespace
}  // namespace dormouse::worker
