// Goal: events survive every way of cutting and ending lines. Method: one stream, all line ends, every piece size.
#include "http/sse.h"

#include <gtest/gtest.h>

#include <vector>

namespace dormouse::http {
namespace {

std::vector<SseEvent> parse(std::string_view bytes, std::size_t step) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    parser.push(bytes.substr(i, step));
    while (auto event = parser.next()) events.push_back(*std::move(event));
  }
  return events;
}

TEST(Sse, WhatWeWriteIsReadBack) {
  std::string bytes = sse_data(R"({"a":"睡"})");
  bytes += kSseComment;
  bytes += sse_named("error", "{}");
  bytes += kSseDone;
  const std::vector<SseEvent> events = parse(bytes, bytes.size());
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].data, R"({"a":"睡"})");
  EXPECT_EQ(events[0].event, "");
  EXPECT_EQ(events[1].event, "error");
  EXPECT_EQ(events[2].data, "[DONE]");
}

TEST(Sse, EveryLineEndAndEveryCutGivesTheSameEvents) {
  for (const std::string_view end : {"\n", "\r\n", "\r"}) {
    std::string bytes = "\xEF\xBB\xBF";
    for (const std::string_view line :
         {":comment", "data:one", "data: two", "", "event: x", "id: 7", "data", "", "event: lost", "", "data:  three",
          "retry: 5", "unknown", "", "data: never ended"}) {
      bytes += line;
      bytes += end;
    }
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
      const std::vector<SseEvent> events = parse(bytes, step);
      ASSERT_EQ(events.size(), 3U) << step;
      EXPECT_EQ(events[0].data, "one\ntwo");
      EXPECT_EQ(events[1].event, "x");
      EXPECT_EQ(events[1].data, "");
      EXPECT_EQ(events[2].event, "");
      EXPECT_EQ(events[2].data, " three");
    }
  }
}

TEST(Sse, AnEventOverTheLimitIsDroppedAndReportedAndTheNextOneIsNot) {
  SseParser parser;
  parser.push("data: small\n\n");
  parser.push("data: ");
  for (int i = 0; i < 80; ++i) parser.push(std::string(64 * 1024, 'x'));
  EXPECT_TRUE(parser.overflowed());
  parser.push("\ndata: still the same event\n\ndata: after\n\n");
  EXPECT_EQ(parser.next()->data, "small");
  const auto after = parser.next();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->data, "after");
  EXPECT_FALSE(parser.next());
}

TEST(Sse, ManyShortLinesOfOneEventCountTogether) {
  SseParser parser;
  for (int i = 0; i < 100; ++i) parser.push("data: " + std::string(64 * 1024, 'x') + "\n");
  EXPECT_TRUE(parser.overflowed());
  parser.push("\ndata: after\n\n");
  EXPECT_EQ(parser.next()->data, "after");
  EXPECT_FALSE(parser.next());
}

}  // namespace
}  // namespace dormouse::http
