// Goal: what leaves a worker is whole characters, never a stop string, reasoning apart from content. Method: tables of
// tokens with the text they must give, and a search over every way of cutting a text into tokens.
#include "worker/output_text.h"

#include <gtest/gtest.h>

namespace dormouse::worker {
namespace {

constexpr text::TokenId kThink = 1000;
constexpr text::TokenId kEndThink = 1001;
constexpr text::TokenId kToolCall = 1002;
constexpr text::TokenId kEndToolCall = 1003;

OutputOptions options(ThinkingStart thinking, std::vector<std::string> stops = {}) {
  OutputOptions out;
  out.thinking = thinking;
  out.think = kThink;
  out.end_think = kEndThink;
  out.stops = std::move(stops);
  return out;
}

OutputOptions with_tools(ThinkingStart thinking, std::vector<std::string> stops = {}) {
  OutputOptions out = options(thinking, std::move(stops));
  out.tool_call = kToolCall;
  out.end_tool_call = kEndToolCall;
  return out;
}

struct Result {
  std::string content;
  std::string reasoning;
  std::string calls;  // "0:name{arguments}1:..."
  bool stopped = false;
};

text::TokenId id_of(const std::string& token) {
  if (token == "<think>") return kThink;
  if (token == "</think>") return kEndThink;
  if (token == "<tool_call>") return kToolCall;
  return token == "</tool_call>" ? kEndToolCall : 7;
}

// The tags among the pieces are the tokens; anything else is a token of those bytes.
Result run(OutputText output, const std::vector<std::string>& tokens) {
  Result out;
  const auto add = [&out](OutputPiece piece) {
    out.content += piece.content;
    out.reasoning += piece.reasoning;
    for (const text::ToolCallPiece& call : piece.calls) {
      if (!call.name.empty()) out.calls += std::to_string(call.index) + ":" + call.name;
      out.calls += call.arguments;
    }
  };
  for (const std::string& token : tokens) {
    add(output.push(id_of(token), token));
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

TEST(OutputText, CallsAreApartFromReasoningAndContent) {
  const Result r = run(OutputText(with_tools(ThinkingStart::kInContent)),
                       {"<think>", "\n", "a <tool", "<tool_call>", "?\n", "</think>", "\n\n", "Wait.", "\n",
                        "<tool_call>", "\n", R"({"name": "f", "argu)", R"(ments": {"x": 1}})", "\n", "</tool_call>",
                        "\n", "<tool_call>", R"({"name":"g","arguments":{}})", "</tool_call>"});
  EXPECT_EQ(r.reasoning, "a <tool<tool_call>?") << "the tag inside of reasoning is a thought";
  EXPECT_EQ(r.content, "Wait.");
  EXPECT_EQ(r.calls, R"(0:f{"x": 1}1:g{})");
  EXPECT_FALSE(r.stopped);
}

TEST(OutputText, WithoutToolsTheTagsAreText) {
  const Result r = run(OutputText(options(ThinkingStart::kInContent)), {"<tool_call>", "{}", "</tool_call>"});
  EXPECT_EQ(r.content, "<tool_call>{}</tool_call>");
  EXPECT_EQ(r.calls, "");
}

TEST(OutputText, StopsAreNotLookedForInCallsAndWhatWaitedForOneComesOutBeforeThem) {
  const Result r = run(OutputText(with_tools(ThinkingStart::kNever, {"x", "STOP"})),
                       {"a ST", "<tool_call>", R"({"name":"x","arguments":{"x":"STOP"}})", "</tool_call>", "b STOP c"});
  EXPECT_EQ(r.content, "a STb ");
  EXPECT_EQ(r.calls, R"(0:x{"x":"STOP"})");
  EXPECT_TRUE(r.stopped);
}

TEST(OutputText, AnAnswerMayStopBehindItsFirstCall) {
  OutputOptions one = with_tools(ThinkingStart::kNever);
  one.max_calls = 1;
  const std::string call = R"({"name":"f","arguments":{}})";
  const Result r = run(OutputText(one), {"<tool_call>", "broken", "</tool_call>", "<tool_call>", call, "</tool_call>",
                                         "<tool_call>", call, "</tool_call>"});
  EXPECT_TRUE(r.stopped);
  EXPECT_EQ(r.calls, "0:f{}");
  EXPECT_EQ(r.content, "<tool_call>broken</tool_call>");
}

}  // namespace
}  // namespace dormouse::worker
