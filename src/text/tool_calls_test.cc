// Goal: calls come out as calls, everything else as content, whatever the cuts. Method: tables of written text with
// what must come out of it; every cut of each into two, and into single bytes, gives the same.
#include "text/tool_calls.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace dormouse::text {
namespace {

struct Read {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  int ended = 0;

  friend bool operator==(const Read&, const Read&) = default;
};

void add(Read& out, const ToolCallText& text) {
  out.content += text.content;
  for (const ToolCallPiece& piece : text.calls) {
    const auto index = static_cast<std::size_t>(piece.index);
    if (index == out.calls.size()) {
      EXPECT_FALSE(piece.name.empty()) << "the name comes first";
      out.calls.emplace_back(piece.name, piece.arguments);
      continue;
    }
    ASSERT_EQ(index + 1, out.calls.size()) << "one call at a time";
    EXPECT_EQ(piece.name, "");
    EXPECT_FALSE(piece.arguments.empty());
    out.calls.back().second += piece.arguments;
  }
}

// `(` and `)` stand for the tokens <tool_call> and </tool_call>; text is cut wherever `is_cut` says.
template <typename IsCut>
Read read(std::string_view written, IsCut is_cut) {
  ToolCallParser parser;
  Read out;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) add(out, parser.push(std::exchange(text, {})));
  };
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '(' || written[i] == ')') {
      flush();
      add(out, written[i] == '(' ? parser.open() : parser.close());
      continue;
    }
    text += written[i];
    if (is_cut(i)) flush();
  }
  flush();
  out.ended = parser.ended();
  add(out, parser.finish());
  EXPECT_EQ(static_cast<std::size_t>(parser.begun()), out.calls.size());
  return out;
}

void expect(std::string_view written, const Read& wanted) {
  SCOPED_TRACE(written);
  const Read whole = read(written, [](std::size_t) { return false; });
  EXPECT_EQ(whole.content, wanted.content);
  EXPECT_EQ(whole.calls, wanted.calls);
  EXPECT_EQ(whole.ended, wanted.ended);
  EXPECT_EQ(read(written, [](std::size_t) { return true; }), whole);
  for (std::size_t cut = 0; cut < written.size(); ++cut) {
    ASSERT_EQ(read(written, [cut](std::size_t i) { return i == cut; }), whole) << "cut behind byte " << cut;
  }
}

TEST(ToolCalls, ACallIsItsNameAndItsArgumentsAsWritten) {
  expect("(\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris \\\"x\\\"\", \"days\": [1, 2.5e3, null]}}\n)",
         {.content = "", .calls = {{"weather", R"({"city": "Paris \"x\"", "days": [1, 2.5e3, null]})"}}, .ended = 1});
  expect(R"(({"name":"查询","arguments":{"城市":"北京"}}))",
         {.content = "", .calls = {{"查询", R"({"城市":"北京"})"}}, .ended = 1});
}

TEST(ToolCalls, SeveralCallsAndTheTextAroundThemLoseTheTemplatesNewlines) {
  expect("Let me look.\n\n(\n{\"name\":\"a\",\"arguments\":{}}\n)\n(\n{\"name\":\"b\",\"arguments\":{\"x\":1}}\n)\n",
         {.content = "Let me look.", .calls = {{"a", "{}"}, {"b", R"({"x":1})"}}, .ended = 2});
  expect("({\"name\":\"a\",\"arguments\":{}})\nand so\n\non\n",
         {.content = "\nand so\n\non\n", .calls = {{"a", "{}"}}, .ended = 1});
  expect("no call\n\nat all\n", {.content = "no call\n\nat all\n", .calls = {}, .ended = 0});
}

TEST(ToolCalls, MembersComeInAnyOrderAndUnknownOnesArePassedOver) {
  expect(R"(({"arguments":{"a":{"name":"inner"}},"name":"late"}))",
         {.content = "", .calls = {{"late", R"({"a":{"name":"inner"}})"}}, .ended = 1});
  expect(R"(({"id":7,"name":"f","arguments":{"k":[]},"more":{"arguments":[-0.5e-3,true]}}))",
         {.content = "", .calls = {{"f", R"({"k":[]})"}}, .ended = 1});
  expect(R"(({"name":"now"}))", {.content = "", .calls = {{"now", "{}"}}, .ended = 1});
}

TEST(ToolCalls, WhatIsNoCallComesOutAsItWasWritten) {
  for (const char* const inner :
       {"", "just words", "{", "[1]", "\"name\"", R"({"arguments":{}})", R"({"name":7,"arguments":{}})",
        R"({"name":"","arguments":{}})", R"({"name":"a\"b","arguments":{}})", R"({"arguments":"{}","name":"f"})",
        R"({"arguments":{},"arguments":{},"name":"f"})", R"({"name":"f",,"arguments":{}})", R"({name:"f"})",
        R"({"name":"f" "arguments":{}})", "\n{\"name\": \"get"}) {
    const std::string written = std::string("see\n(") + inner + ")\nend";
    std::string wanted = "see\n<tool_call>" + std::string(inner) + "</tool_call>\nend";
    expect(written, {.content = wanted, .calls = {}, .ended = 0});
  }
  std::string deep = R"({"arguments":{"a":)" + std::string(kMaxJsonDepth, '[') + "1";
  expect("(" + deep + ")", {.content = "<tool_call>" + deep + "</tool_call>", .calls = {}, .ended = 0});
  const std::string long_name = R"({"name":")" + std::string(kMaxToolNameBytes + 1, 'n') + R"("})";
  expect("(" + long_name + ")", {.content = "<tool_call>" + long_name + "</tool_call>", .calls = {}, .ended = 0});
  expect("a) b", {.content = "a</tool_call> b", .calls = {}, .ended = 0});
}

TEST(ToolCalls, ACallThatBreaksKeepsWhatItHadAndTheRestIsContent) {
  expect(R"(({"name":"f","arguments":{"a":1,}} more)x)",
         {.content = "}} more</tool_call>x", .calls = {{"f", R"({"a":1,)"}}, .ended = 1});
  expect(R"(({"name":"f","arguments":{},"id":01})", {.content = R"(,"id":01})", .calls = {{"f", "{}"}}, .ended = 1});
  expect(R"(({"name":"f","arguments":{}}x))", {.content = "}x</tool_call>", .calls = {{"f", "{}"}}, .ended = 1});
}

TEST(ToolCalls, ACallCutByTheEndOrByTheNextOneStaysAsFarAsItGot) {
  expect(R"(({"name":"f","arguments":{"text":"half a wo)",
         {.content = "", .calls = {{"f", R"({"text":"half a wo)"}}, .ended = 0});
  expect(R"(({"name":"f","arguments":{}})", {.content = "", .calls = {{"f", "{}"}}, .ended = 0});
  expect(R"(({"name":"f","argum)", {.content = R"(<tool_call>{"name":"f","argum)", .calls = {}, .ended = 0});
  expect(R"(({"name":"f","arguments":{}}({"name":"g"}))",
         {.content = "", .calls = {{"f", "{}"}, {"g", "{}"}}, .ended = 2});
  expect(R"(({"na({"name":"g"}))", {.content = R"(<tool_call>{"na)", .calls = {{"g", "{}"}}, .ended = 1});
}

TEST(ToolCalls, ArgumentsComeOutWhileTheyAreWritten) {
  ToolCallParser parser;
  ToolCallText text = parser.open();
  EXPECT_TRUE(text.calls.empty());
  text = parser.push(R"({"name":"f", )");
  EXPECT_TRUE(text.calls.empty()) << "it may still turn out to be no call";
  text = parser.push(R"("arguments": {"a)");
  ASSERT_EQ(text.calls.size(), 1U);
  EXPECT_EQ(text.calls[0].name, "f");
  EXPECT_EQ(text.calls[0].arguments, R"({"a)");
  text = parser.push(R"(b":)");
  ASSERT_EQ(text.calls.size(), 1U);
  EXPECT_EQ(text.calls[0].arguments, R"(b":)");
}

bool is_json(std::string_view text) {
  JsonStream stream;
  for (const char byte : text) {
    if (!stream.push(byte)) return false;
  }
  return stream.push(' ') && stream.place() == JsonStream::Place::kEnd;
}

TEST(JsonStream, TakesJsonAndNothingElse) {
  for (const char* const good :
       {"0", "-0", "12", "-1.50", "1e9", "2E+07", "0.1e-2", "true", "false", "null", "\"\"", "[]", "{}",
        " [ 1 , [ ] , { } ] ", R"({"a":1,"b":{"c":[true,null]}})", R"("\u00e9\n\\\/\"")", "\"\x7f é\""}) {
    EXPECT_TRUE(is_json(good)) << good;
  }
  for (const char* const bad :
       {"",    "01",        "1.",   ".5",    "-",       "+1",       "1e",         "1e+",         "1.e3",
        "0x1", "tru",       "truE", "nul",   "\"",      "\"a",      "\"\\x\"",    "\"\\u12g4\"", "\"\n\"",
        "[",   "[1,]",      "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",       "{1:1}",
        "[1}", "{\"a\":1]", "1 2",  "{}{}",  "'a'",     "1,",       "NaN"}) {
    EXPECT_FALSE(is_json(bad)) << bad;
  }
  EXPECT_TRUE(is_json(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')));
  EXPECT_FALSE(is_json(std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']')));
}

}  // namespace
}  // namespace dormouse::text
