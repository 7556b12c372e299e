// Goal: nothing is allowed that is not on the list, and an origin that is not on it never comes back. Method: tables.
#include "gateway/exposure/cors.h"

#include <gtest/gtest.h>

namespace dormouse::gateway {
namespace {

constexpr const char* kPage = "https://app.example.org";

TEST(Cors, OffUnlessConfigured) {
  const CorsRules rules = CorsRules::make({}).value();
  EXPECT_FALSE(rules.is_on());
  http::Headers headers;
  for (const char* origin : {kPage, "null", "", "*", "http://localhost"}) {
    EXPECT_FALSE(rules.allows(origin)) << origin;
    rules.add_answer_headers(origin, headers);
    rules.add_preflight_headers(origin, "authorization", headers);
  }
  rules.add_vary(headers);
  EXPECT_TRUE(headers.all().empty());
}

TEST(Cors, AnOriginIsComparedByteForByte) {
  const CorsRules rules =
      CorsRules::make({kPage, "http://localhost:3000", "http://[::1]:5173", "tauri://localhost"}).value();
  for (const char* good : {kPage, "http://localhost:3000", "http://[::1]:5173", "tauri://localhost"}) {
    EXPECT_TRUE(rules.allows(good)) << good;
    http::Headers headers;
    rules.add_answer_headers(good, headers);
    EXPECT_EQ(headers.find("access-control-allow-origin"), good);
    EXPECT_FALSE(headers.find("access-control-allow-credentials").has_value());
  }
  for (const char* bad :
       {"", "null", "*", "https://app.example.org/", "https://app.example.org:443", "https://App.example.org",
        "http://app.example.org", "https://evil.app.example.org", "https://app.example.org.evil.com",
        "https://app.example.orgevil.com", "https://app.example.org, https://evil.com", "https://evil.com",
        "http://localhost", "http://localhost:30000", " https://app.example.org"}) {
    EXPECT_FALSE(rules.allows(bad)) << bad;
    http::Headers headers;
    rules.add_answer_headers(bad, headers);
    rules.add_preflight_headers(bad, "authorization", headers);
    EXPECT_TRUE(headers.all().empty()) << bad;
  }
  http::Headers headers;
  rules.add_vary(headers);
  EXPECT_EQ(headers.find("vary"), "origin");
}

TEST(Cors, AStarIsSentAsAStar) {
  const CorsRules rules = CorsRules::make({"*"}).value();
  http::Headers headers;
  rules.add_answer_headers("https://anybody.example", headers);
  EXPECT_EQ(headers.find("access-control-allow-origin"), "*");
  EXPECT_FALSE(headers.find("access-control-allow-credentials").has_value());
  rules.add_vary(headers);
  EXPECT_FALSE(headers.find("vary").has_value()) << "the answer is the same for all";
}

TEST(Cors, APreflightNamesTheHeadersAnSdkSends) {
  const CorsRules rules = CorsRules::make({kPage}).value();
  struct Row {
    const char* wanted;
    const char* allowed;  // "": no such header in the answer
  };
  for (const Row& row : {Row{"authorization,content-type", "authorization, content-type"},
                         Row{"Authorization, X-Stainless-OS ,x-stainless-retry-count",
                             "authorization, x-stainless-os, x-stainless-retry-count"},
                         Row{"openai-organization,openai-project,idempotency-key,x-request-id",
                             "openai-organization, openai-project, idempotency-key, x-request-id"},
                         Row{"authorization,cookie,x-forwarded-for,host", "authorization"}, Row{"cookie", ""},
                         Row{"", ""}, Row{",,", ""}, Row{"*", ""}, Row{"authorization2", ""}, Row{"x-stainless", ""},
                         Row{"x-stainless-a:b", ""}, Row{"openai-\xe7\x9d\xa1", ""}}) {
    http::Headers headers;
    rules.add_preflight_headers(kPage, row.wanted, headers);
    EXPECT_EQ(headers.find("access-control-allow-origin"), kPage);
    EXPECT_EQ(headers.find("access-control-allow-methods"), "GET, POST");
    EXPECT_EQ(headers.find("access-control-max-age"), "3600");
    EXPECT_EQ(headers.find("access-control-allow-headers").value_or(""), row.allowed) << row.wanted;
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "x-stainless-" + std::to_string(i) + ",";
  http::Headers headers;
  rules.add_preflight_headers(kPage, many, headers);
  EXPECT_NE(headers.find("access-control-allow-headers")->find("x-stainless-31"), std::string_view::npos);
  EXPECT_EQ(headers.find("access-control-allow-headers")->find("x-stainless-32"), std::string_view::npos);
}

TEST(Cors, WhatIsNoOriginIsRefusedAtTheStart) {
  for (const char* bad :
       {"", "app.example.org", "https://", "://x", "https://app.example.org/", "https://app.example.org/x",
        "https://*.example.org", "https://app.example.org:443", "http://app.example.org:80", "https://App.example.org",
        "https://user@app.example.org", "null", "**", "https://app.example.org https://b.org", "https://a.org?",
        "https://a.org:99999", "https://a.org\r\nx: y"}) {
    const Result<CorsRules> rules = CorsRules::make({bad});
    ASSERT_FALSE(rules.has_value()) << bad;
    EXPECT_EQ(rules.error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace dormouse::gateway
