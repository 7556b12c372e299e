// Goal: a trace is read as it is meant, whoever wrote the CSV; what is none is refused by its line, its column and what
// to do. Method: the same three requests in every dialect; each way to be wrong, with the words that must be there.
#include "planner/trace.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dormouse::planner {
namespace {

constexpr TokenSpeeds kSpeeds{.input_per_s = 500, .output_per_s = 30};

TEST(Trace, IsReadByItsColumnNamesWhoeverWroteIt) {
  for (const std::string text : {
           "id,service_s,t_s\na,2,3\nb,1.5,7.5\nc,0,90000",
           "id,service_s,t_s\r\na,2,3\r\nb,1.5,7.5\r\nc,0,90000\r\n",
           "\xEF\xBB\xBFservice_s,t_s\n2,3\n\n1.5,7.5\n0,9e4\n\n",
           "\"t_s\",\"prompt\",\"service_s\"\n\"3\",\"said \"\"hi, you\"\"\",2\n7.5,\"two\nlines\",\"1.5\"\n90000,,0\n",
           " t_s , service_s \n 3 ,\t2\n7.5, 1.5 \n90000,0",
       }) {
    const Result<Workload> trace = parse_trace(text, {});
    ASSERT_TRUE(trace.has_value()) << text << ": " << trace.error().message;
    ASSERT_EQ(trace->arrivals.size(), 3U) << text;
    EXPECT_EQ(trace->arrivals[0].at_us, 3'000'000) << text;
    EXPECT_EQ(trace->arrivals[1].at_us, 7'500'000) << text;
    EXPECT_EQ(trace->arrivals[1].service_us, 1'500'000) << text;
    EXPECT_EQ(trace->arrivals[2].service_us, 0) << text;
    EXPECT_EQ(days_of(*trace), 2) << text;
    EXPECT_DOUBLE_EQ(trace->months, 2 * 24 / 730.0) << text;
    EXPECT_EQ(trace->input_tokens, 0) << text;
  }
}

TEST(Trace, TokensTakeTheirTimeAndAreSummed) {
  const char* const tokens = "t_s,input_tokens,output_tokens\n0,1000,60\n5,500,0\n";
  const Result<Workload> trace = parse_trace(tokens, {.speeds = kSpeeds});
  ASSERT_TRUE(trace.has_value()) << trace.error().message;
  EXPECT_EQ(trace->arrivals[0].service_us, 4 * kSecondUs);
  EXPECT_EQ(trace->arrivals[1].service_us, kSecondUs);
  EXPECT_EQ(trace->input_tokens, 1'500);
  EXPECT_EQ(trace->output_tokens, 60);
  // Measured seconds go before assumed ones; one kind of tokens alone is summed too.
  const Result<Workload> both = parse_trace("t_s,service_s,output_tokens\n0,7,60\n", {.speeds = kSpeeds});
  ASSERT_TRUE(both.has_value()) << both.error().message;
  EXPECT_EQ(both->arrivals[0].service_us, 7 * kSecondUs);
  EXPECT_EQ(both->output_tokens, 60);
}

struct Wrong {
  std::string text;
  std::string line;   // that is named
  std::string words;  // that the message has
};

void expect_refused(const Wrong& wrong, const TraceOptions& options) {
  const Result<Workload> trace = parse_trace(wrong.text, options);
  ASSERT_FALSE(trace.has_value()) << wrong.text;
  EXPECT_EQ(trace.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(trace.error().message.starts_with("trace, line " + wrong.line + ": ")) << trace.error().message;
  EXPECT_NE(trace.error().message.find(wrong.words), std::string::npos) << trace.error().message;
}

TEST(Trace, AHeaderThatNamesNoColumnsIsRefused) {
  for (const Wrong& wrong : std::vector<Wrong>{
           {"", "1", "want the names of columns"},
           {"1,2\n3,4\n", "1", "got '1,2'"},
           {"t_s;service_s\n1;2\n", "1", "got 't_s;service_s'"},
           {"t_s", "1", "want the names of columns"},
           {"t_s,input_tokens\n1,2\n", "1", "input_tokens,output_tokens"},
           {"t_s,service_s", "1", "no request follows"},
           {"t_s,service_s\n\n\n", "1", "no request follows"},
           {"t_s,service_s,t_s\n1,2,3\n", "1", "column t_s stands twice"},
           {"t_s,input_tokens,output_tokens\n0,1,1\n", "1", "how many a second"},
           {"t_s,\"service_s\n1,2", "1", "a quote that does not end"},
           {std::string("\x1b[31m,service_s\n\0", 16), "1", "got '?[31m,service_s'"},
       }) {
    expect_refused(wrong, {});
  }
  for (const TokenSpeeds speeds : {TokenSpeeds{0, 30}, TokenSpeeds{500, -1}, TokenSpeeds{0.0 / 0.0, 30}}) {
    expect_refused({"t_s,input_tokens,output_tokens\n0,1,1\n", "1", "speeds above 0"}, {.speeds = speeds});
  }
}

TEST(Trace, AFieldThatIsNoneIsRefusedByItsLineAndColumn) {
  const std::string header = "t_s,service_s\n0,1\n";
  for (const Wrong& wrong : std::vector<Wrong>{
           {"1", "3", "service_s is missing: want seconds"},
           {"1,", "3", "service_s is missing: want seconds"},
           {"1,\n", "3", "service_s is empty: want seconds"},
           {"\n,2", "4", "t_s is empty: want seconds"},
           {"x,2", "3", "t_s is 'x': want seconds"},
           {"1,2x", "3", "service_s is '2x'"},
           {"1,0x10", "3", "service_s is '0x10'"},
           {"1,+2", "3", "service_s is '+2'"},
           {"1,nan", "3", "service_s is 'nan'"},
           {"inf,1", "3", "t_s is 'inf'"},
           {"1e999,1", "3", "t_s is '1e999'"},
           {"-1,2", "3", "t_s is '-1'"},
           {"1,-0.5", "3", "service_s is '-0.5'"},
           {"1,5,2", "3", "more fields than the header's 2"},
           {"1,\"2\"3", "3", "write a quote within quotes twice"},
           {"1,\"2\n3\n4", "3", "a quote that does not end"},
       }) {
    expect_refused({header + wrong.text, wrong.line, wrong.words}, {});
  }
  expect_refused({"a,t_s,service_s\n\"1\n2\n3\",0,1\nx,y,1\n", "5", "t_s is 'y'"}, {});
}

TEST(Trace, UnitsThatCannotBeMeantAreRefused) {
  const std::string header = "t_s,service_s\n";
  expect_refused({header + "0,86400.1\n", "2", "looks like milliseconds: divide by 1,000"}, {});
  EXPECT_TRUE(parse_trace(header + "0,86400\n", {}).has_value());
  expect_refused({header + "1764115200,2\n", "2", "not a date: subtract the first"}, {.holes = Holes::kKeep});
  EXPECT_TRUE(parse_trace(header + "315360000,2\n", {.holes = Holes::kKeep}).has_value()) << "ten years";
}

TEST(Trace, OutOfOrderNamesBothTimesAndTheCommand) {
  expect_refused({"service_s,t_s\n1,0\n1,13\n1,12.5\n", "4", "t_s 12.5 comes after 13: sort the lines"}, {});
  expect_refused({"service_s,t_s\n1,13\n1,12.5\n", "3", "sort -t, -k2,2g"}, {});
  EXPECT_TRUE(parse_trace("t_s,service_s\n1,1\n1,1\n", {}).has_value()) << "at once is in order";
}

TEST(Trace, AHoleIsRefusedUnlessItIsKept) {
  const std::string week = "t_s,service_s\n10,1\n604810,1\n";
  EXPECT_TRUE(parse_trace(week, {}).has_value());
  const std::string longer = "t_s,service_s\n10,1\n864010,1\n";
  expect_refused({longer, "3", "10.0 days after"}, {});
  expect_refused({longer, "3", "--holes keep"}, {});
  const Result<Workload> kept = parse_trace(longer, {.holes = Holes::kKeep});
  ASSERT_TRUE(kept.has_value()) << kept.error().message;
  EXPECT_EQ(days_of(*kept), 10);
}

TEST(Trace, TokensAreWholeAndFitTheContext) {
  const std::string header = "t_s,input_tokens,output_tokens\n";
  const TraceOptions options{.speeds = kSpeeds, .context_tokens = 8'192};
  EXPECT_TRUE(parse_trace(header + "0,8000,192\n", options).has_value());
  expect_refused({header + "0,8000,193\n", "2", "more than the context of 8192"}, options);
  expect_refused({header + "0,12.5,1\n", "2", "input_tokens is '12.5': want whole tokens"}, options);
  expect_refused({header + "0,1,-1\n", "2", "output_tokens is '-1': want whole tokens"}, options);
  expect_refused({header + "0,1\n", "2", "output_tokens is missing"}, options);
  expect_refused({header + "0,1000000001,1\n", "2", "input_tokens is '1000000001'"}, {.speeds = kSpeeds});
  expect_refused({header + "0,1000000000,1\n", "2", "take more than a day"}, {.speeds = kSpeeds});
  expect_refused({"t_s,service_s,input_tokens\n0,1,9000\n", "2", "more than the context of 8192"}, options);
}

TEST(Trace, OneRequestTooManyIsRefused) {
  std::string text = "t_s,service_s\n";
  for (std::size_t i = 0; i < kMostTraceLines; ++i) text += "0,0\n";
  ASSERT_TRUE(parse_trace(text, {}).has_value());
  expect_refused({text + "0,0\n", "10000002", "more than 10,000,000 requests"}, {});
}

}  // namespace
}  // namespace dormouse::planner
