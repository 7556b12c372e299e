// Goal: who is logged in, for how long, and to do what. Method: the real routes of a session and one stand-in for each
// access, behind the real host check, CORS and authentication; time moved by hand.
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "gateway/exposure/exposure.h"
#include "gateway/keys/key_format.h"
#include "gateway/middleware/middleware.h"
#include "gateway/router.h"
#include "gateway/sessions/cookie.h"
#include "gateway/sessions/session_api.h"
#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;
using Fields = std::vector<std::pair<std::string, std::string>>;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

struct Asked {
  std::string method = "GET";
  std::string path;
  Fields fields;
  std::string body;
  std::string listener = "listen0";
};

constexpr const char* kOwn = "http://localhost:8080";

class Sessions : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("dormouse-sessions-" + random_hex(6));
    fs::create_directories(directory_);
    ledger::Options options;
    options.path = (directory_ / "ledger.db").string();
    options.clock = &clock_;
    options.ballast_bytes = 0;
    options.post = [this](std::function<void()> f) { asio::post(io_, std::move(f)); };
    ledger_ = ledger::Ledger::open(options).value();
    ring_.emplace(KeyRing::open(clock_, (directory_ / "keys.pepper").string(), {}).value());
    book_ = std::make_unique<SessionBook>(clock_, *ring_);
    ExposureOptions exposed;
    exposed.listen = {"127.0.0.1:8080"};
    exposure_ = Exposure::plan(exposed).value();
    api_ = std::make_unique<SessionApi>(clock_, *ring_, *book_,
                                        [this] { return std::optional<std::string>("#login=" + book_->make_login()); });
    api_->add_routes(router_);
    for (const Access access : {Access::kNone, Access::kOpen, Access::kConsole, Access::kInference, Access::kRead,
                                Access::kAdmin, Access::kSocket}) {
      const RouteHandler handler = [](Call& call) { return reply_json(call, 200, "{}"); };
      router_.add({"GET", "/look/" + std::to_string(static_cast<int>(access)), access, handler});
      router_.add({"POST", "/do/" + std::to_string(static_cast<int>(access)), access, handler});
    }
    std::vector<std::unique_ptr<Middleware>> order;
    order.push_back(make_request_id(clock_));
    order.push_back(make_host_check(exposure_));
    order.push_back(make_cors(exposure_, router_));
    order.push_back(make_authenticate(clock_, *ring_, *book_, *ledger_));
    pipeline_ = std::make_unique<Pipeline>(std::move(order));
  }
  void TearDown() override {
    ledger_.reset();
    io_.restart();
    io_.poll();
    fs::remove_all(directory_);
  }

  std::string key(const std::string& scope, const std::string& more = "") {
    const std::string json = R"({"name":"k","scope":")" + scope + "\"" + more + "}";
    KeyDraft draft = ring_->draft_create(parse_key_wish(json).value(), nullptr).value();
    ring_->adopt(draft.write.rows);
    return draft.key;
  }
  void revoke(const std::string& key) {
    ring_->adopt(ring_->draft_revoke(*kid_of(key), Children::kKeep, nullptr)->write.rows);
  }
  http::Response ask(const Asked& asked) {
    http::Request request;
    request.method = asked.method;
    request.path = asked.path;
    request.body = asked.body;
    request.peer = asked.listener == kSocketDoor ? "unix" : "127.0.0.1:5312";
    request.headers.add("host", "localhost:8080");
    for (const auto& [name, value] : asked.fields) request.headers.add(name, value);
    AnsweredExchange exchange(std::move(request), asked.listener);
    Call call(exchange);
    router_.match(call);
    bool done = false;
    asio::co_spawn(io_, pipeline_->run(call), [&done](const std::exception_ptr& failure) {
      EXPECT_EQ(failure, nullptr);
      done = true;
    });
    io_.restart();
    while (!done && io_.run_one() > 0) {
    }
    return exchange.response;
  }
  http::Response log_in(const std::string& member, const std::string& secret) {
    return ask({.method = "POST",
                .path = "/admin/v1/session",
                .fields = {{"origin", kOwn}},
                .body = "{\"" + member + "\":\"" + secret + "\"}"});
  }
  // "dormouse_session_8080=..." of an answer, as a browser sends it back.
  static std::string cookie_of(const http::Response& answer) {
    const std::string line(answer.headers.find("set-cookie").value_or(""));
    return line.substr(0, line.find(';'));
  }
  http::Response show(const std::string& cookie) {
    return ask({.path = "/admin/v1/session", .fields = {{"cookie", cookie}}, .body = {}});
  }
  int status(const std::string& method, Access access, const Fields& fields) {
    const std::string number = std::to_string(static_cast<int>(access));
    return ask({.method = method, .path = (method == "GET" ? "/look/" : "/do/") + number, .fields = fields, .body = {}})
        .status;
  }

  ManualClock clock_;
  asio::io_context io_{1};
  fs::path directory_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::optional<KeyRing> ring_;
  std::unique_ptr<SessionBook> book_;
  Exposure exposure_;
  std::unique_ptr<SessionApi> api_;
  Router router_;
  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(Sessions, ALinkOpensOneSession) {
  key("admin");
  const std::string login = book_->make_login();
  EXPECT_EQ(login.size(), 43U);
  const http::Response answer = log_in("login", login);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"scope":"admin","expires_at":"2023-11-15T10:13:20+00:00","is_open":false})");
  EXPECT_EQ(answer.headers.find("cache-control"), "no-store");
  const std::string line(answer.headers.find("set-cookie").value_or(""));
  EXPECT_NE(line.find("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), std::string::npos) << line;
  EXPECT_EQ(line.find("Secure"), std::string::npos);
  EXPECT_EQ(show(cookie_of(answer)).body, answer.body);
  const http::Response again = log_in("login", login);
  EXPECT_EQ(again.status, 401);
  EXPECT_EQ(again.headers.find("set-cookie"), std::nullopt);
  EXPECT_NE(again.body.find("dormouse console"), std::string::npos) << again.body;
}

TEST_F(Sessions, ALinkIsGoodForTenMinutes) {
  key("admin");
  const std::string early = book_->make_login();
  const std::string late = book_->make_login();
  clock_.advance(minutes(10) - seconds(1));
  EXPECT_EQ(log_in("login", early).status, 200);
  clock_.advance(seconds(1));
  EXPECT_EQ(log_in("login", late).status, 401);
}

TEST_F(Sessions, OfTooManyLinksTheOldestGoes) {
  key("admin");
  const std::string first = book_->make_login();
  std::string last;
  for (std::size_t i = 0; i < kMaxLogins; ++i) {
    clock_.advance(seconds(1));
    last = book_->make_login();
  }
  EXPECT_EQ(log_in("login", first).status, 401);
  EXPECT_EQ(log_in("login", last).status, 200);
}

TEST_F(Sessions, OfTooManySessionsTheFirstEnds) {
  const std::string admin = key("admin");
  const std::string first = cookie_of(log_in("key", admin));
  for (std::size_t i = 0; i < kMaxSessions; ++i) {
    EXPECT_EQ(book_->size(), i + 1);
    clock_.advance(seconds(1));
    EXPECT_EQ(log_in("key", admin).status, 200);
  }
  EXPECT_EQ(book_->size(), kMaxSessions);
  EXPECT_EQ(show(first).status, 401);
}

TEST_F(Sessions, ASessionLastsTwelveHours) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  clock_.advance(hours(12) - seconds(1));
  EXPECT_EQ(show(cookie).status, 200);
  clock_.advance(seconds(1));
  EXPECT_EQ(show(cookie).status, 401);
  EXPECT_EQ(book_->size(), 0U) << "forgotten";
}

TEST_F(Sessions, AKeyMustBeOneThatMayLook) {
  EXPECT_EQ(log_in("key", key("inference")).status, 403);
  EXPECT_EQ(log_in("key", make_key(Scope::kAdmin, make_kid())).status, 401);
  const http::Response read = log_in("key", key("read"));
  EXPECT_EQ(read.status, 200);
  EXPECT_NE(read.body.find(R"("scope":"read")"), std::string::npos);
  const std::string short_lived = key("admin", R"(,"expires":"1s")");
  clock_.advance(seconds(2));
  EXPECT_NE(log_in("key", short_lived).body.find("expired_api_key"), std::string::npos);
}

TEST_F(Sessions, ASessionEndsWithItsKey) {
  const std::string admin = key("admin");
  const std::string other = key("admin", R"(,"expires":"1h")");
  const std::string of_admin = cookie_of(log_in("key", admin));
  const std::string of_other = cookie_of(log_in("key", other));
  revoke(admin);
  EXPECT_EQ(show(of_admin).status, 401);
  EXPECT_EQ(status("GET", Access::kRead, {{"cookie", of_admin}}), 401);
  EXPECT_EQ(show(of_other).status, 200);
  clock_.advance(hours(1));
  EXPECT_EQ(show(of_other).status, 401) << "expired with its key";
}

TEST_F(Sessions, LoggingOutEndsIt) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  EXPECT_EQ(ask({.method = "DELETE", .path = "/admin/v1/session", .fields = {{"cookie", cookie}}, .body = {}}).status,
            421)
      << "without saying whose page asks";
  EXPECT_EQ(show(cookie).status, 200);
  const http::Response out = ask(
      {.method = "DELETE", .path = "/admin/v1/session", .fields = {{"cookie", cookie}, {"origin", kOwn}}, .body = {}});
  EXPECT_EQ(out.status, 204);
  EXPECT_NE(out.headers.find("set-cookie").value_or("").find("Max-Age=0"), std::string_view::npos);
  EXPECT_EQ(show(cookie).status, 401);
}

// Two servers of one host: the browser shows each of them both cookies.
TEST_F(Sessions, AServerReadsTheCookieOfItsOwnPortOnly) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  EXPECT_TRUE(cookie.starts_with("dormouse_session_8080=")) << cookie;
  const std::string token = cookie.substr(cookie.find('=') + 1);
  EXPECT_EQ(show("dormouse_session_8081=theirs; " + cookie).status, 200);
  for (const char* name : {"dormouse_session", "dormouse_session_8081", "dormouse_session_"}) {
    const std::string other = name + ("=" + token);
    EXPECT_EQ(show(other).status, 401) << name;
    EXPECT_EQ(status("POST", Access::kAdmin, {{"cookie", other}, {"origin", kOwn}}), 401) << name;
  }
}

TEST_F(Sessions, BadBodiesAreNamed) {
  key("admin");
  for (const char* body : {"", "{", "[]", "{}", R"({"login":1})", R"({"key":null})", R"({"login":"a","key":"b"})"}) {
    const http::Response answer =
        ask({.method = "POST", .path = "/admin/v1/session", .fields = {{"origin", kOwn}}, .body = body});
    EXPECT_EQ(answer.status, 400) << body;
  }
  EXPECT_EQ(log_in("key", std::string(2'000, 'x')).status, 413);
}

TEST_F(Sessions, WrongSecretsAreLimitedAndRightOnesAreNot) {
  const std::string admin = key("admin");
  for (int i = 0; i < kFailureBurst; ++i) EXPECT_EQ(log_in("login", "guess").status, 401) << i;
  const http::Response refused = log_in("login", "guess");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.find("retry-after"), "6");
  EXPECT_EQ(log_in("key", admin).status, 200);
}

TEST_F(Sessions, EachScopeMayWhatItsKeyMayAndAnAdministratorTryAModel) {
  const Fields admin{{"cookie", cookie_of(log_in("key", key("admin")))}, {"origin", kOwn}};
  const Fields read{{"cookie", cookie_of(log_in("key", key("read")))}, {"origin", kOwn}};
  const Fields link{{"cookie", cookie_of(log_in("login", book_->make_login()))}, {"origin", kOwn}};
  const std::map<Access, std::pair<int, int>> want = {{Access::kNone, {403, 403}},    {Access::kOpen, {200, 200}},
                                                      {Access::kConsole, {200, 200}}, {Access::kInference, {200, 403}},
                                                      {Access::kRead, {200, 200}},    {Access::kAdmin, {200, 403}},
                                                      {Access::kSocket, {404, 404}}};
  for (const auto& [access, statuses] : want) {
    const int number = static_cast<int>(access);
    EXPECT_EQ(status("POST", access, admin), statuses.first) << number;
    EXPECT_EQ(status("POST", access, link), statuses.first) << number;
    EXPECT_EQ(status("POST", access, read), statuses.second) << number;
  }
}

// Cross-site requests, by what a browser sends with them.
TEST_F(Sessions, NoPageOfAnotherOriginRidesOnTheCookie) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  const std::pair<std::string, std::string> ours{"cookie", cookie};
  const auto site = [](const char* value) { return std::pair<std::string, std::string>{"sec-fetch-site", value}; };
  const auto origin = [](const char* value) { return std::pair<std::string, std::string>{"origin", value}; };
  struct Row {
    Fields fields;
    int look;
    int change;
  };
  const std::vector<Row> rows = {
      {{ours, origin(kOwn)}, 200, 200},
      {{ours, site("same-origin")}, 200, 200},
      {{ours}, 200, 421},
      {{ours, site("none")}, 200, 421},
      {{ours, site("same-site"), origin("http://localhost:3000")}, 421, 421},
      {{ours, site("cross-site")}, 421, 421},
      {{ours, site("cross-site"), origin("https://evil.example")}, 421, 421},
      {{ours, origin("null")}, 421, 421},
      {{origin(kOwn)}, 401, 401},
      {{{"cookie", "dormouse_session_8080=guess"}, origin(kOwn)}, 401, 401},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const Access access : {Access::kRead, Access::kAdmin, Access::kInference}) {
      EXPECT_EQ(status("GET", access, rows[i].fields), rows[i].look) << "row " << i;
      EXPECT_EQ(status("POST", access, rows[i].fields), rows[i].change) << "row " << i;
    }
    clock_.advance(minutes(1));
  }
}

TEST_F(Sessions, AKeyThatIsShownCountsBeforeTheCookie) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  const std::string app = key("inference");
  const Fields both{{"cookie", cookie}, {"origin", kOwn}, {"authorization", "Bearer " + app}};
  EXPECT_EQ(status("POST", Access::kAdmin, both), 403);
  EXPECT_EQ(status("POST", Access::kInference, both), 200);
}

TEST_F(Sessions, TheCookieIsNothingWhereTheAdminApiIsNotServed) {
  const std::string cookie = cookie_of(log_in("key", key("admin")));
  ExposureOptions apart;
  apart.listen = {"127.0.0.1:8080"};
  apart.admin_listen = {"127.0.0.1:8081"};
  exposure_ = Exposure::plan(apart).value();
  EXPECT_EQ(status("POST", Access::kInference, {{"cookie", cookie}, {"origin", kOwn}}), 401);
  EXPECT_EQ(show(cookie).status, 404);
}

TEST_F(Sessions, WithoutAKeyTheHouseIsOpen) {
  EXPECT_EQ(show("").body, R"({"scope":"admin","expires_at":null,"is_open":true})");
  EXPECT_EQ(status("POST", Access::kAdmin, {{"origin", kOwn}}), 200);
  // Who logged in by the link stays in when the first key is made.
  const std::string cookie = cookie_of(log_in("login", book_->make_login()));
  key("inference");
  EXPECT_EQ(ask({.path = "/admin/v1/session", .fields = {}, .body = {}}).status, 401);
  EXPECT_EQ(show(cookie).status, 200);
  EXPECT_EQ(status("POST", Access::kAdmin, {{"cookie", cookie}, {"origin", kOwn}}), 200);
}

TEST_F(Sessions, OnlyTheSocketMakesLinks) {
  const Asked wish{.method = "POST", .path = "/admin/v1/console-links", .fields = {{"origin", kOwn}}, .body = {}};
  EXPECT_EQ(ask(wish).status, 404);
  key("admin");
  EXPECT_EQ(ask(wish).status, 404);
  Asked by_socket = wish;
  by_socket.listener = kSocketDoor;
  const http::Response answer = ask(by_socket);
  EXPECT_EQ(answer.status, 200);
  const std::size_t at = answer.body.find("#login=");
  ASSERT_NE(at, std::string::npos) << answer.body;
  EXPECT_EQ(log_in("login", answer.body.substr(at + 7, 43)).status, 200);
}

}  // namespace
}  // namespace dormouse::gateway
