// Goal: the table is what the notes promise, whole and without doubles. Method: the expected rows written out again
// here, independently, and every code of both enumerations.
#include "api/error_table.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <map>
#include <set>

#include "api/json_write.h"

namespace dormouse::api {
namespace {

struct Expected {
  int status;
  std::string_view type;
  bool retry;
};

const std::map<std::string_view, Expected> kExpected = {
    {"invalid_json", {400, "invalid_request_error", false}},
    {"json_too_deep", {400, "invalid_request_error", false}},
    {"invalid_utf8", {400, "invalid_request_error", false}},
    {"invalid_value", {400, "invalid_request_error", false}},
    {"context_length_exceeded", {400, "invalid_request_error", false}},
    {"grammar_too_complex", {400, "invalid_request_error", false}},
    {"malformed_request", {400, "invalid_request_error", false}},
    {"missing_api_key", {401, "authentication_error", false}},
    {"invalid_api_key", {401, "authentication_error", false}},
    {"expired_api_key", {401, "authentication_error", false}},
    {"insufficient_scope", {403, "permission_error", false}},
    {"model_not_allowed", {403, "permission_error", false}},
    {"model_not_found", {404, "invalid_request_error", false}},
    {"not_found", {404, "invalid_request_error", false}},
    {"method_not_allowed", {405, "invalid_request_error", false}},
    {"request_timeout", {408, "timeout_error", false}},
    {"idempotency_in_progress", {409, "idempotency_error", true}},
    {"idempotency_finished", {409, "idempotency_error", false}},
    {"idempotency_mismatch", {422, "idempotency_error", false}},
    {"already_exists", {409, "invalid_request_error", false}},
    {"read_only", {409, "invalid_request_error", false}},
    {"length_required", {411, "invalid_request_error", false}},
    {"body_too_large", {413, "invalid_request_error", false}},
    {"uri_too_long", {414, "invalid_request_error", false}},
    {"unsupported_media_type", {415, "invalid_request_error", false}},
    {"headers_too_large", {431, "invalid_request_error", false}},
    {"host_not_allowed", {421, "invalid_request_error", false}},
    {"rate_limit_requests", {429, "rate_limit_error", true}},
    {"rate_limit_tokens", {429, "rate_limit_error", true}},
    {"rate_limit_concurrency", {429, "rate_limit_error", true}},
    {"insufficient_quota", {429, "insufficient_quota", false}},
    {"internal_error", {500, "server_error", false}},
    {"not_implemented", {501, "invalid_request_error", false}},
    {"worker_crashed", {502, "server_error", true}},
    {"overloaded", {503, "overloaded_error", true}},
    {"queue_full", {503, "overloaded_error", true}},
    {"queue_timeout", {503, "overloaded_error", true}},
    {"model_loading", {503, "overloaded_error", true}},
    {"model_load_failed", {503, "overloaded_error", true}},
    {"ledger_unavailable", {503, "overloaded_error", true}},
    {"draining", {503, "overloaded_error", true}},
    {"generation_timeout", {504, "timeout_error", false}},
    {"disk_full", {507, "server_error", false}},
    {"source_unreachable", {502, "server_error", false}},
    {"source_mismatch", {502, "server_error", false}},
    {"source_refused", {502, "server_error", false}},
};

TEST(ErrorTable, EveryCodeHasTheRowTheNotesGiveIt) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < kErrorCodeCount; ++i) {
    const ErrorCode code = static_cast<ErrorCode>(i);
    const ErrorRow& got = row(code);
    ASSERT_TRUE(kExpected.contains(got.code)) << got.code;
    const Expected& want = kExpected.at(got.code);
    EXPECT_EQ(got.status, want.status) << got.code;
    EXPECT_EQ(got.type, want.type) << got.code;
    EXPECT_EQ(got.retry_after_s > 0, want.retry) << got.code;
    EXPECT_LE(got.retry_after_s, 60) << "client libraries ignore more";
    EXPECT_FALSE(got.text.empty());
    EXPECT_EQ(find_code(got.code), code);
    seen.insert(got.code);
  }
  EXPECT_EQ(seen.size(), kExpected.size());
  EXPECT_FALSE(find_code("no_such_code"));
}

TEST(ErrorTable, BodiesHaveAllFourKeysAndEscapeWhatTheyCarry) {
  for (std::size_t i = 0; i < kErrorCodeCount; ++i) {
    const auto body = boost::json::parse(error_body({static_cast<ErrorCode>(i), "", ""})).at("error").as_object();
    EXPECT_EQ(body.size(), 4U);
    EXPECT_TRUE(body.at("param").is_null());
  }
  const auto body = boost::json::parse(error_body({ErrorCode::kInvalidValue, "a \"b\"\n\xff", "messages[0].content"}));
  EXPECT_EQ(body.at("error").at("message").as_string(), "a \"b\"\n\xEF\xBF\xBD");
  EXPECT_EQ(body.at("error").at("param").as_string(), "messages[0].content");
}

TEST(ErrorTable, EveryInternalErrorHasAClientErrorAndOnlyBadArgumentsShowTheirText) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const Error error = make_error(static_cast<Code>(i), "/secret/path");
    const ApiError got = from_error(error);
    const bool shows = error_body(got).find("secret") != std::string::npos;
    EXPECT_EQ(shows, error.code == Code::kInvalidArgument) << to_string(error.code);
    EXPECT_LT(static_cast<std::size_t>(got.code), kErrorCodeCount);
  }
  EXPECT_EQ(row(from_error(make_error(Code::kInternal, "")).code).status, 500);
  EXPECT_EQ(row(from_error(make_error(Code::kUnavailable, "")).code).status, 503);
  EXPECT_EQ(row(from_error(make_error(Code::kUnauthenticated, "")).code).status, 401);
}

TEST(JsonWrite, DoublesAreWrittenAsPythonWritesThem) {
  for (const auto& [value, want] : std::vector<std::pair<double, std::string>>{{0.0, "0.0"},
                                                                               {-0.0, "-0.0"},
                                                                               {1.0, "1.0"},
                                                                               {0.7, "0.7"},
                                                                               {1e-4, "0.0001"},
                                                                               {1e-5, "1e-05"},
                                                                               {1e15, "1000000000000000.0"},
                                                                               {1e16, "1e+16"},
                                                                               {1.5e300, "1.5e+300"},
                                                                               {0.1 + 0.2, "0.30000000000000004"},
                                                                               {5e-324, "5e-324"},
                                                                               {123456.789, "123456.789"}}) {
    std::string got;
    append_json_double(got, value);
    EXPECT_EQ(got, want);
  }
}

TEST(JsonWrite, StringsAreAlwaysUtf8AndUnharmed) {
  std::string got;
  append_json_string(got, std::string_view("\x00\x1f\"\\\n\r\t\b\f/\x7f睡🐭", 18));
  EXPECT_EQ(got, "\"\\u0000\\u001f\\\"\\\\\\n\\r\\t\\b\\f/\x7f睡🐭\"");
  for (const char* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe7\x9d", "\x80", "\xfe"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
    std::string fixed;
    append_json_string(fixed, bad);
    EXPECT_TRUE(is_valid_utf8(fixed));
  }
}

}  // namespace
}  // namespace dormouse::api
