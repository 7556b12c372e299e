// Goal: requests are due when the load says: at a fixed rate, at random with the right mean and scatter, or as a trace
// says at a speed; and what a load test asks and whom. Method: arithmetic; statistics with tolerances from their own
// standard errors.
#include "loadtest/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "loadtest/endpoint.h"
#include "loadtest/prompts.h"

namespace dormouse::loadtest {
namespace {

TEST(Schedule, AConstantRateIsAClock) {
  const std::vector<Due> due = constant_arrivals(4, {.duration_s = 2});
  ASSERT_EQ(due.size(), 8U);
  for (std::size_t i = 0; i < due.size(); ++i) EXPECT_DOUBLE_EQ(due[i].at_s, 0.25 * static_cast<double>(i));
  EXPECT_EQ(constant_arrivals(4, {.requests = 3}).size(), 3U);
  EXPECT_EQ(constant_arrivals(4, {.requests = 3, .duration_s = 0.4}).size(), 2U) << "whichever ends first";
}

TEST(Schedule, PoissonGapsHaveTheMeanAndTheScatterOfIndependentCallers) {
  constexpr double kRate = 5;
  constexpr std::int64_t kCount = 100'000;
  for (const std::uint64_t seed : {1U, 7U, 2'026U}) {
    const std::vector<Due> due = poisson_arrivals(kRate, {.requests = kCount}, seed);
    ASSERT_EQ(due.size(), static_cast<std::size_t>(kCount));
    double sum = 0;
    double squares = 0;
    double before = 0;
    for (const Due& one : due) {
      const double gap = one.at_s - before;
      ASSERT_GE(gap, 0);
      before = one.at_s;
      sum += gap;
      squares += gap * gap;
    }
    const double mean = sum / kCount;
    const double variance = squares / kCount - mean * mean;
    // Exponential: mean 1/r with standard error (1/r)/sqrt(n); variance 1/r^2 with sqrt(8/n)/r^2 (fourth central moment
    // 9/r^4). Five of them: one run in two million fails, and the seeds are fixed.
    EXPECT_NEAR(mean, 1 / kRate, 5 / kRate / std::sqrt(kCount)) << "seed " << seed;
    EXPECT_NEAR(variance, 1 / (kRate * kRate), 5 * std::sqrt(8.0 / kCount) / (kRate * kRate)) << "seed " << seed;
  }
}

TEST(Schedule, ASeedIsOneTrafficAndAnotherSeedAnother) {
  const Extent extent{.requests = 50};
  EXPECT_EQ(poisson_arrivals(2, extent, 3), poisson_arrivals(2, extent, 3));
  EXPECT_NE(poisson_arrivals(2, extent, 3), poisson_arrivals(2, extent, 4));
  for (const Due& due : poisson_arrivals(20, {.duration_s = 3}, 3)) EXPECT_LT(due.at_s, 3);
}

TEST(Schedule, ATraceIsReplayedFasterFromItsFirstRequest) {
  const Result<std::vector<Due>> trace =
      parse_trace("id,output_tokens,t_s,input_tokens\r\na,10,130,500\r\nb,20,100,0\n\nc,30,160,7\n");
  ASSERT_TRUE(trace.has_value()) << trace.error().message;
  EXPECT_EQ(*trace, (std::vector<Due>{{0, 1, 20}, {30, 500, 10}, {60, 7, 30}}));
  EXPECT_EQ(sped_up(*trace, 10, {.duration_s = 5}), (std::vector<Due>{{0, 1, 20}, {3, 500, 10}}));
  EXPECT_EQ(sped_up(*trace, 0.5, {.requests = 2}), (std::vector<Due>{{0, 1, 20}, {60, 500, 10}}));
}

TEST(Schedule, ABadTraceIsToldByItsLine) {
  struct Row {
    const char* csv;
    const char* says;
  };
  for (const Row& row :
       {Row{"", "line 1"}, Row{"t_s,service_s\n1,2", "input_tokens"},
        Row{"t_s,input_tokens,output_tokens", "no request follows"},
        Row{"t_s,input_tokens,output_tokens\n1,2,3\n1,x,3", "line 3"},
        Row{"t_s,input_tokens,output_tokens\n1,2", "line 2"}, Row{"t_s,input_tokens,output_tokens\n-1,2,3", "line 2"},
        Row{"t_s,input_tokens,output_tokens\nnan,2,3", "line 2"},
        Row{"t_s,input_tokens,output_tokens\n1,2,1e300", "line 2"},
        Row{"t_s,input_tokens,output_tokens\n1e300,2,1", "line 2"}}) {
    const Result<std::vector<Due>> trace = parse_trace(row.csv);
    ASSERT_FALSE(trace.has_value()) << row.csv;
    EXPECT_EQ(trace.error().code, Code::kInvalidArgument);
    EXPECT_NE(trace.error().message.find(row.says), std::string::npos) << trace.error().message;
  }
}

TEST(Schedule, AStepMustEndAndStayWithinTheLimit) {
  EXPECT_TRUE(check_extent(10, {.duration_s = 30}).has_value());
  EXPECT_TRUE(check_extent(1e5, {.requests = 10, .duration_s = 1e9}).has_value());
  EXPECT_FALSE(check_extent(10, {}).has_value());
  EXPECT_FALSE(check_extent(0, {.requests = 10}).has_value());
  EXPECT_FALSE(check_extent(std::nan(""), {.requests = 10}).has_value());
  EXPECT_FALSE(check_extent(1e5, {.duration_s = 11}).has_value());
  EXPECT_FALSE(check_extent(1, {.requests = kMostRequests + 1}).has_value());
}

TEST(Prompts, NoTwoBeginAlikeUnlessAskedTo) {
  const Prompts fresh(1, Prompts::Beginning::kFresh);
  std::set<std::string> texts;
  for (std::int64_t i = 0; i < 1'000; ++i) texts.insert(fresh.text(i, 16).substr(0, 40));
  // Forty bytes are at least 3 words: 64^3 beginnings, and 1,000 of them meet in about 2 places.
  EXPECT_GE(texts.size(), 980U);
  EXPECT_EQ(fresh.text(5, 16), fresh.text(5, 16));
  const Prompts same(1, Prompts::Beginning::kSame);
  EXPECT_EQ(same.text(1, 16), same.text(2, 16));
  const std::string text = fresh.text(3, 100);
  EXPECT_EQ(std::count(text.begin(), text.end(), ' '), 99);
}

TEST(Prompts, LinesAreAskedInTurn) {
  Prompts same(1, Prompts::Beginning::kSame);
  same.use({"one", "two"});
  EXPECT_EQ(same.text(0, 8), "one");
  EXPECT_EQ(same.text(3, 8), "two");
  Prompts fresh(1, Prompts::Beginning::kFresh);
  fresh.use({"one", "two"});
  EXPECT_TRUE(fresh.text(3, 8).ends_with(": two"));
  EXPECT_NE(fresh.text(3, 8), fresh.text(5, 8));
}

TEST(Endpoint, IsWhatItsUrlSays) {
  const Result<Endpoint> local = parse_endpoint("http://127.0.0.1:8080", "");
  ASSERT_TRUE(local.has_value());
  EXPECT_EQ(local->address.to_string(), "127.0.0.1:8080");
  EXPECT_EQ(local->base, "/v1");
  EXPECT_FALSE(local->address.tls.has_value());
  const Result<Endpoint> far = parse_endpoint("https://api.example.org/openai/v1/", "");
  ASSERT_TRUE(far.has_value());
  EXPECT_EQ(far->address.port, 443);
  EXPECT_EQ(far->host, "api.example.org");
  EXPECT_EQ(far->base, "/openai/v1");
  EXPECT_TRUE(far->address.tls->system_cas);
  EXPECT_EQ(parse_endpoint("https://h/v1", "/ca.pem")->address.tls->ca_file, "/ca.pem");
  EXPECT_EQ(parse_endpoint("localhost:11434", "")->address.port, 11434);
  EXPECT_EQ(parse_endpoint("http://[::1]:9", "")->address.host, "::1");
  for (const char* bad : {"", "ftp://x", "http://", "http://me:secret@host", "http://h:99999", "http://h/a b",
                          "http://h?x", "http://h/v1#y", "unix:/tmp/s", "http://h:0"}) {
    const Result<Endpoint> endpoint = parse_endpoint(bad, "");
    ASSERT_FALSE(endpoint.has_value()) << bad;
    EXPECT_EQ(endpoint.error().code, Code::kInvalidArgument);
    EXPECT_EQ(endpoint.error().message.find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace dormouse::loadtest
