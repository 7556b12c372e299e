// Goal: the first and the last word of an answer have the times they came at, whatever the server's manner of writing.
// Method: streams as vLLM, llama-server and Dormouse write them, cut anywhere.
#include "loadtest/answer_reader.h"

#include <gtest/gtest.h>

namespace dormouse::loadtest {
namespace {

std::string event(std::string_view json) {
  return "data: " + std::string(json) + "\n\n";
}

std::string word(std::string_view text) {
  return event(R"({"choices":[{"index":0,"delta":{"content":")" + std::string(text) + R"("}}]})");
}

TEST(AnswerReader, CountsFromTheFirstWordNotFromTheFirstByte) {
  AnswerReader reader;
  reader.push(event(R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null})"), 1);
  EXPECT_EQ(reader.pieces(), 0);
  reader.push(word("a"), 2);
  reader.push(word("b") + word("c"), 2.5);
  reader.push(event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"), 4);
  reader.push(event(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}})"), 5);
  EXPECT_TRUE(reader.is_whole());
  EXPECT_EQ(reader.pieces(), 3);
  EXPECT_EQ(reader.first_s(), 2);
  EXPECT_EQ(reader.last_s(), 2.5);
  EXPECT_EQ(reader.gaps_s(), (std::vector<double>{0.5, 0}));
  ASSERT_TRUE(reader.usage().has_value());
  EXPECT_EQ(reader.usage()->completion_tokens, 5);
  EXPECT_FALSE(reader.failure().has_value());
}

TEST(AnswerReader, BytesMayBeCutAnywhere) {
  const std::string stream = word("你") + ": ping\r\n\r\n" + word("b") + "data: [DONE]\r\n\r\n";
  AnswerReader reader;
  double now_s = 0;
  for (const char byte : stream) reader.push({&byte, 1}, now_s += 1);
  EXPECT_EQ(reader.pieces(), 2);
  EXPECT_TRUE(reader.is_whole());
  EXPECT_EQ(reader.first_s(), static_cast<double>(word("你").size()));
}

TEST(AnswerReader, ThinkingAndCompletionsAreWordsToo) {
  AnswerReader reader;
  reader.push(event(R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})"), 1);
  reader.push(event(R"({"choices":[{"index":0,"text":"x"}]})"), 2);
  EXPECT_EQ(reader.pieces(), 2);
  EXPECT_FALSE(reader.is_whole()) << "neither [DONE] nor a finish_reason came";
}

TEST(AnswerReader, AModelMayChooseToSayNothing) {
  AnswerReader reader;
  reader.push(event(R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})"), 1);
  EXPECT_FALSE(reader.has_answer());
  reader.push(event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"), 3);
  reader.push("data: [DONE]\n\n", 4);
  EXPECT_TRUE(reader.has_answer());
  EXPECT_EQ(reader.pieces(), 0);
  EXPECT_EQ(reader.first_s(), 3);
  EXPECT_TRUE(reader.gaps_s().empty());
  AnswerReader nothing;
  nothing.push("data: [DONE]\n\n", 1);
  EXPECT_FALSE(nothing.has_answer());
}

TEST(AnswerReader, AnErrorInTheStreamIsItsFailure) {
  AnswerReader reader;
  reader.push(word("a"), 1);
  reader.push(event(R"({"error":{"message":"out of memory","type":"server_error"}})"), 2);
  reader.push("data: [DONE]\n\n", 2);
  ASSERT_TRUE(reader.failure().has_value());
  EXPECT_NE(reader.failure()->find("out of memory"), std::string::npos) << *reader.failure();
}

TEST(AnswerReader, FindsTheWordsOfAnyServersError) {
  EXPECT_EQ(error_words(R"({"error":{"message":"of OpenAI"}})"), "of OpenAI");
  EXPECT_EQ(error_words(R"({"error":"of Ollama"})"), "of Ollama");
  EXPECT_EQ(error_words(R"({"object":"error","message":"of an older vLLM"})"), "of an older vLLM");
  EXPECT_EQ(error_words(R"({"detail":"of FastAPI"})"), "of FastAPI");
  for (const char* none : {"", "{}", "[1]", R"({"error":5})", R"({"error":{"message":{}}})", "<html>"}) {
    EXPECT_EQ(error_words(none), "") << none;
  }
}

TEST(AnswerReader, RubbishIsAFailureAndNoCrash) {
  AnswerReader text;
  text.push(event("hello"), 1);
  EXPECT_TRUE(text.failure().has_value());
  AnswerReader other;
  other.push("<html>502 Bad Gateway</html>", 1);
  EXPECT_EQ(other.pieces(), 0);
  EXPECT_FALSE(other.is_whole());
  AnswerReader endless;
  endless.push("data: " + std::string(5U << 20, 'x') + "\n\n", 1);
  EXPECT_TRUE(endless.failure().has_value());
}

}  // namespace
}  // namespace dormouse::loadtest
