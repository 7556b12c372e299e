// Goal: a script reads a worker's log without knowing how it is written. Method: lines as base/log.h and other programs
// write them, and bytes nobody would.
#include "cli/log_line.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace dormouse::cli {
namespace {

TEST(LogLine, OfOursIsTimeLevelEventAndFields) {
  EXPECT_EQ(log_line_json("2026-11-26T09:41:00.120+08:00 level=info event=ready model=chat load_ms=12"),
            R"({"time":"2026-11-26T09:41:00.120+08:00","level":"info","event":"ready",)"
            R"("fields":{"model":"chat","load_ms":"12"}})");
  EXPECT_EQ(log_line_json("2026-11-26T09:41:00.120+08:00 level=warn event=drain"),
            R"({"time":"2026-11-26T09:41:00.120+08:00","level":"warn","event":"drain","fields":{}})");
}

TEST(LogLine, AValueMayHoldBlanksAndQuotes) {
  const boost::json::value line =
      boost::json::parse(log_line_json("2026-11-26T09:41:00.120+08:00 level=error event=worker_failed "
                                       R"(code=model_invalid error="no "a b" in x=1 y" n=2)"));
  EXPECT_EQ(line.at("fields").at("code").as_string(), "model_invalid");
  EXPECT_EQ(line.at("fields").at("error").as_string(), R"(no "a b" in x=1 y)");
  EXPECT_EQ(line.at("fields").at("n").as_string(), "2");
  const boost::json::value bare =
      boost::json::parse(log_line_json("2026-11-26T09:41:00.120+08:00 level=info event=x file=/a b.gguf n="));
  EXPECT_EQ(bare.at("fields").at("file").as_string(), "/a b.gguf");
  EXPECT_EQ(bare.at("fields").at("n").as_string(), "");
}

TEST(LogLine, OfOthersIsItsText) {
  for (const char* line : {"", "llama_model_loader: loaded meta data", "2026-11-26T09:41:00.120+08:00 level=info",
                           "2026-11-26T09:41:00.120+08:00 level=info no fields here", "event=ready model=chat",
                           "2026-11-26T09:41:00.120+08:00 level=info a=1", " level=info event=x", "=", "\""}) {
    const boost::json::value out = boost::json::parse(log_line_json(line));
    ASSERT_EQ(out.as_object().size(), 1U) << line;
    EXPECT_EQ(out.at("text").as_string(), line);
  }
}

TEST(LogLine, BytesThatAreNoTextAreMarked) {
  EXPECT_EQ(log_line_json("a\xFF\xE4\xBD"), "{\"text\":\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}");
  EXPECT_EQ(log_line_json("睡鼠\t\x01"), R"({"text":"睡鼠\t\u0001"})");
}

}  // namespace
}  // namespace dormouse::cli
