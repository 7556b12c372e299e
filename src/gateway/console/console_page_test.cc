// Goal: each file comes as it should to who asks for it, and nothing else comes. Method: two made-up files, the real
// routes, requests as browsers send them.
#include "gateway/console/console_page.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::array<ConsoleFile, 2> kFiles = {
    ConsoleFile{"index.html", "text/html; charset=utf-8", "aa", "<p>plain", "GZ-INDEX"},
    ConsoleFile{"assets/app-1.js", "text/javascript; charset=utf-8", "bb", "plain()", "GZ-APP"}};

http::Response ask(const std::string& path, const Fields& fields = {}) {
  const ConsolePage page(kFiles);
  Router router;
  page.add_routes(router);
  http::Request request;
  request.method = "GET";
  request.path = path;
  for (const auto& [name, value] : fields) request.headers.add(name, value);
  AnsweredExchange exchange(std::move(request), "api");
  Call call(exchange);
  router.match(call);
  EXPECT_NE(call.route, nullptr) << path;
  if (call.route == nullptr) return {};
  EXPECT_EQ(call.route->access, Access::kConsole);
  asio::io_context io{1};
  Task<void> answering = call.route->handler(call);
  asio::co_spawn(io, std::move(answering), asio::detached);
  io.run();
  return exchange.response;
}

std::string header(const http::Response& answer, std::string_view name) {
  return std::string(answer.headers.find(name).value_or("-"));
}

TEST(ConsolePage, ThePageIsAskedForAgainAndWhatItLoadsIsKept) {
  const http::Response index = ask("/console/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.body, "<p>plain");
  EXPECT_EQ(header(index, "content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(header(index, "cache-control"), "no-cache");
  EXPECT_EQ(ask("/console/index.html").body, index.body);
  const http::Response app = ask("/console/assets/app-1.js");
  EXPECT_EQ(app.body, "plain()");
  EXPECT_EQ(header(app, "content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(header(app, "cache-control"), "public, max-age=31536000, immutable");
}

TEST(ConsolePage, GzipGoesToWhoTakesIt) {
  const http::Response answer = ask("/console/", {{"accept-encoding", "br, gzip"}});
  EXPECT_EQ(answer.body, "GZ-INDEX");
  EXPECT_EQ(header(answer, "content-encoding"), "gzip");
  EXPECT_EQ(header(answer, "vary"), "accept-encoding");
  EXPECT_EQ(header(answer, "etag"), "\"aa-gzip\"");
  const http::Response plain = ask("/console/", {{"accept-encoding", "br"}});
  EXPECT_EQ(plain.body, "<p>plain");
  EXPECT_EQ(header(plain, "content-encoding"), "-");
  EXPECT_EQ(header(plain, "vary"), "accept-encoding");
  EXPECT_EQ(header(plain, "etag"), "\"aa\"");
}

TEST(ConsolePage, AcceptEncodingIsReadAsItIsMeant) {
  for (const char* text : {"gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "*", " gzip ; q=0.1", "gzip;q=0.001"}) {
    EXPECT_TRUE(accepts_gzip(text)) << text;
  }
  for (const char* text : {"", "br", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "xgzip", ",;,"}) {
    EXPECT_FALSE(accepts_gzip(text)) << text;
  }
}

TEST(ConsolePage, WhoHasItIsNotSentItAgain) {
  for (const char* known : {"\"aa\"", "W/\"aa\"", "\"x\", \"aa\"", "*"}) {
    const http::Response answer = ask("/console/", {{"if-none-match", known}});
    EXPECT_EQ(answer.status, 304) << known;
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(header(answer, "etag"), "\"aa\"");
  }
  EXPECT_EQ(ask("/console/", {{"if-none-match", "\"aa\""}, {"accept-encoding", "gzip"}}).status, 200)
      << "the other encoding is another thing";
  EXPECT_EQ(ask("/console/", {{"if-none-match", "\"bb\""}}).status, 200);
}

TEST(ConsolePage, WhatIsNotThereIsAPageThatSaysSo) {
  for (const char* path : {"/console/x", "/console/app-1.js", "/console/assets/index.html", "/console/assets/x"}) {
    const http::Response answer = ask(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_NE(answer.body.find("没有这个页面"), std::string::npos);
    EXPECT_EQ(header(answer, "content-type"), "text/html; charset=utf-8");
  }
}

TEST(ConsolePage, EveryAnswerForbidsWhatThePageDoesNotNeed) {
  for (const char* path : {"/console", "/console/", "/console/assets/app-1.js", "/console/x"}) {
    const http::Response answer = ask(path, {{"if-none-match", "\"aa\""}});
    EXPECT_EQ(header(answer, "content-security-policy"),
              "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
              "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
        << path;
    EXPECT_EQ(header(answer, "x-content-type-options"), "nosniff");
    EXPECT_EQ(header(answer, "referrer-policy"), "no-referrer");
    EXPECT_EQ(header(answer, "cross-origin-opener-policy"), "same-origin");
    EXPECT_NE(header(answer, "permissions-policy"), "-");
  }
  const http::Response moved = ask("/console");
  EXPECT_EQ(moved.status, 308);
  EXPECT_EQ(header(moved, "location"), "/console/");
}

}  // namespace
}  // namespace dormouse::gateway
