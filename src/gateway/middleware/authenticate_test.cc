// Goal: no handler is ever reached without the right (T-60), a key is nowhere but in the request that carries it
// (T-65), and a revoked one is out with the next request (T-66). Method: every route of the real gateway, its handler
// replaced by a counter, behind the real middleware; every credential; every spelling of its path that the wire lets
// through.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/ids.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "gateway/deployer.h"
#include "gateway/exposure/exposure.h"
#include "gateway/gateway.h"
#include "gateway/keys/key_format.h"
#include "gateway/middleware/middleware.h"
#include "gateway/still_exchange.h"
#include "http/wire.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Asked {
  std::string method = "GET";
  std::string target;
  Fields fields;
  std::string body;
  std::string peer = "127.0.0.1:5312";
};

class Door : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("dormouse-door-" + random_hex(6));
    fs::create_directories(directory_);
    ledger::Options options;
    options.path = (directory_ / "ledger.db").string();
    options.clock = &system_clock_;
    options.ballast_bytes = 0;
    options.post = [this](std::function<void()> f) { asio::post(io_, std::move(f)); };
    ledger_ = ledger::Ledger::open(options).value();
    ring_.emplace(KeyRing::open(clock_, (directory_ / "keys.pepper").string(), {}).value());
    fleet::SupervisorOptions fleet_options;
    fleet_options.io = &io_;
    fleet_options.clock = &system_clock_;
    fleet_options.ledger = ledger_.get();
    supervisor_ = std::make_unique<fleet::Supervisor>(std::move(fleet_options));
    catalog_.emplace(catalog::Catalog::built_in().value());
    const Services services{io_, clock_, *supervisor_, *ledger_, client_, metrics_, book_};
    DeployerOptions deployer_options;
    deployer_options.instances = &instances_;
    deployer_ = std::make_unique<Deployer>(services, book_, *catalog_, std::move(deployer_options));
    ExposureOptions exposed;
    exposed.listen = {"127.0.0.1:8080"};
    exposure_ = Exposure::plan(exposed).value();
    ASSERT_EQ(exposure_.doors().front().name, "listen0");
    GatewayOptions gateway_options;
    gateway_options.exposure = &exposure_;
    gateway_ = std::make_unique<Gateway>(services, *deployer_, *ring_, std::move(gateway_options));
    for (const char* name : {"chat", "other"}) {
      Deployment deployment;
      deployment.name = name;
      deployment.image = std::string("file:") + name + ".gguf";
      deployment.rules.aliases = {std::string(name) + "-alias"};
      book_.put(deployment);
    }
    for (Route route : gateway_->routes()) {
      route.handler = [this](Call& call) {
        ++reached_;
        last_ = call.route;
        return reply_json(call, 200, "{}");
      };
      counted_.add(std::move(route));
    }
    sessions_ = std::make_unique<SessionBook>(clock_, *ring_);
    std::vector<std::unique_ptr<Middleware>> order;
    order.push_back(make_request_id(clock_));
    order.push_back(make_host_check(exposure_));
    order.push_back(make_authenticate(clock_, *ring_, *sessions_, *ledger_));
    pipeline_ = std::make_unique<Pipeline>(std::move(order));
  }
  void TearDown() override {
    gateway_.reset();
    deployer_.reset();
    supervisor_.reset();
    ledger_.reset();
    io_.restart();
    io_.poll();
    fs::remove_all(directory_);
  }

  static KeyWish wish(const std::string& json) { return parse_key_wish(json).value(); }
  std::string key(const std::string& json) {
    KeyDraft draft = ring_->draft_create(wish(json), nullptr).value();
    ring_->adopt(draft.write.rows);
    return draft.key;
  }
  void revoke(const std::string& key) {
    ring_->adopt(ring_->draft_revoke(*kid_of(key), Children::kKeep, nullptr)->write.rows);
  }

  // nullopt: the wire refuses it, and no handler of any kind hears of it.
  static std::optional<http::Request> parse(const Asked& asked) {
    std::string head = asked.method + " " + asked.target + " HTTP/1.1\r\nhost: localhost:8080\r\n";
    for (const auto& [name, value] : asked.fields) head += name + ": " + value + "\r\n";
    head += "\r\n";
    auto parsed = http::parse_request_head(head, {});
    if (!parsed) return std::nullopt;
    http::Request out;
    out.method = parsed->method;
    out.path = parsed->path;
    out.query = parsed->query;
    out.headers = parsed->headers;
    out.body = asked.body;
    out.peer = asked.peer;
    return out;
  }
  void drive(Task<void> task) {
    bool done = false;
    asio::co_spawn(io_, std::move(task), [&done](const std::exception_ptr& failure) {
      EXPECT_EQ(failure, nullptr);
      done = true;
    });
    io_.restart();
    while (!done && io_.run_one() > 0) {
    }
    ASSERT_TRUE(done);
  }
  // Through the middleware to a counter. Status 0: the wire refused it.
  http::Response ask(const Asked& asked) {
    std::optional<http::Request> request = parse(asked);
    if (!request.has_value()) return {0, {}, {}};
    const std::string door = request->peer == "unix" ? kSocketDoor : "listen0";
    AnsweredExchange exchange(*std::move(request), door);
    Call call(exchange);
    counted_.match(call);
    drive(pipeline_->run(call));
    return exchange.response;
  }
  // Through the whole gateway.
  http::Response ask_gateway(const Asked& asked) {
    std::optional<http::Request> request = parse(asked);
    if (!request.has_value()) return {0, {}, {}};
    const std::string door = request->peer == "unix" ? kSocketDoor : "listen0";
    AnsweredExchange exchange(*std::move(request), door);
    drive(gateway_->handle(exchange));
    return exchange.response;
  }

  ManualClock clock_;
  SystemClock system_clock_;
  asio::io_context io_{1};
  fs::path directory_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::optional<KeyRing> ring_;
  std::unique_ptr<SessionBook> sessions_;
  std::unique_ptr<fleet::Supervisor> supervisor_;
  http::Client client_{io_};
  Metrics metrics_;
  const catalog::InstanceTypes instances_;
  Deployments book_;
  std::optional<catalog::Catalog> catalog_;
  Exposure exposure_;
  std::unique_ptr<Deployer> deployer_;
  std::unique_ptr<Gateway> gateway_;
  Router counted_;
  std::unique_ptr<Pipeline> pipeline_;
  int reached_ = 0;
  const Route* last_ = nullptr;
};

std::string concrete(std::string pattern) {
  for (std::size_t open = pattern.find('{'); open != std::string::npos; open = pattern.find('{')) {
    pattern.replace(open, pattern.find('}') - open + 1, "chat");
  }
  return pattern;
}

std::string hex_escape(char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("%") + kHex[byte >> 4U] + kHex[byte & 15U];
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

// Ways to write `path` that some server, proxy or check takes for it or for another.
std::vector<std::string> spellings(const std::string& path) {
  const std::string rest = path.substr(1);
  const std::size_t last = path.rfind('/');
  const std::string parent = path.substr(0, last);
  const std::string leaf = path.substr(last + 1);
  std::string escaped;
  std::string escaped_twice;
  for (const char c : path) {
    escaped += c == '/' ? std::string(1, c) : hex_escape(c);
    escaped_twice += c == '/' ? std::string(1, c) : "%25" + hex_escape(c).substr(1);
  }
  return {path,
          "/" + path,
          "//" + path,
          "/." + path,
          "/./." + path,
          "/x/.." + path,
          "/livez/.." + path,
          "/livez/../.." + path,
          "/livez" + path,
          "/livez/%2e%2e" + path,
          "/livez/%2e." + path,
          "/livez/..%2f" + rest,
          "/livez/..;" + path,
          "/livez;" + path,
          "/livez/..%5c" + rest,
          "/livez\\.." + path,
          "/livez%00" + path,
          path + "/",
          path + "//",
          path + "/.",
          path + "/..",
          path + "/../" + leaf,
          path + "/x/..",
          path + "/livez",
          path + "/../livez",
          path + "/%2e%2e/livez",
          path + "%2f",
          path + "%2e",
          path + "%20",
          path + "%00",
          path + "%0d%0a",
          path + "%0",
          path + "%",
          path + "%zz",
          path + ";x",
          path + ";x=1/..",
          path + "?x",
          path + "?/livez",
          path + "?key=1&path=/livez",
          path + "#/livez",
          path + "%23/livez",
          path + "%3f/livez",
          path + ".json",
          path + ".",
          path + "~",
          upper(path),
          parent + "%2f" + leaf,
          parent + "%5c" + leaf,
          parent + "\\" + leaf,
          parent + "//" + leaf,
          parent + "/./" + leaf,
          parent + "/%2e/" + leaf,
          parent + "/x/../" + leaf,
          escaped,
          escaped_twice,
          "http://localhost:8080" + path,
          "http://evil.example" + path,
          "//evil.example" + path,
          "localhost" + path,
          rest,
          "*",
          " " + path,
          path + " ",
          "/\xc0\xaf" + rest,
          path + "\xe2\x80\xae",
          "/%c0%af" + rest,
          "/%ef%bc%8f" + rest};
}

struct Credential {
  std::string name;
  Fields fields;
  std::optional<Scope> scope;  // of a key that is let in
};

std::vector<Credential> credentials(const std::map<std::string, std::string>& keys) {
  const auto bearer = [](const std::string& key) { return Fields{{"authorization", "Bearer " + key}}; };
  const std::string& good = keys.at("inference");
  std::string typo = good;
  typo[20] = typo[20] == 'a' ? 'b' : 'a';
  return {{"no key", {}, {}},
          {"garbage", bearer("lsk_garbage"), {}},
          {"a typing error", bearer(typo), {}},
          {"another's", bearer("sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"), {}},
          {"unknown", bearer(make_key(Scope::kAdmin, make_kid())), {}},
          {"right kid, wrong secret", bearer(make_key(Scope::kAdmin, *kid_of(keys.at("admin")))), {}},
          {"inference's kid as admin", bearer(make_key(Scope::kAdmin, *kid_of(good))), {}},
          {"expired", bearer(keys.at("expired")), {}},
          {"revoked", bearer(keys.at("revoked")), {}},
          {"basic", {{"authorization", "Basic " + good}}, {}},
          {"bare", {{"authorization", good}}, {}},
          {"empty", {{"authorization", "Bearer "}}, {}},
          {"a cookie", {{"cookie", "api_key=" + keys.at("admin")}}, {}},
          {"two", {{"authorization", "Bearer " + good}, {"x-api-key", good}}, {}},
          {"twice", {{"authorization", "Bearer " + good}, {"Authorization", "Bearer " + keys.at("admin")}}, {}},
          {"inference", bearer(good), Scope::kInference},
          {"read", bearer(keys.at("read")), Scope::kRead},
          {"admin", {{"X-Api-Key", keys.at("admin")}}, Scope::kAdmin}};
}

// Which accesses each scope has, written down a second time on purpose.
bool has_right(std::optional<Scope> scope, Access access) {
  if (access == Access::kOpen || access == Access::kConsole) return true;
  if (!scope.has_value()) return false;
  const bool looks = *scope == Scope::kRead || *scope == Scope::kAdmin;
  return (access == Access::kInference && *scope == Scope::kInference) || (access == Access::kRead && looks) ||
         (access == Access::kAdmin && *scope == Scope::kAdmin);
}

TEST_F(Door, EveryRouteSaysWhoMayCallIt) {
  const std::set<std::string> open = {"/livez", "/readyz",      "/health",      "/v1/health",
                                      "/",      "/api/version", "/openapi.json"};
  ASSERT_GT(gateway_->routes().size(), 20U);
  for (const Route& route : gateway_->routes()) {
    const std::string what = route.method + " " + route.pattern;
    EXPECT_NE(route.access, Access::kNone) << what;
    if (route.access == Access::kOpen) {
      EXPECT_TRUE(open.contains(route.pattern)) << what;
    }
    const bool login = route.pattern == "/admin/v1/session";
    EXPECT_EQ(route.access == Access::kConsole, login || route.pattern.starts_with("/console")) << what;
    const bool admin = route.pattern.starts_with("/admin/") && route.pattern != "/admin/v1/console-links" && !login;
    if (admin) {
      EXPECT_EQ(route.access, route.method == "GET" ? Access::kRead : Access::kAdmin) << what;
    }
    if (route.access == Access::kAdmin) {
      EXPECT_NE(route.method, "GET") << what << ": HEAD comes with it";
    }
  }
  EXPECT_EQ(Route{}.access, Access::kNone);
}

TEST_F(Door, NoHandlerIsReachedWithoutTheRight) {
  std::map<std::string, std::string> keys;
  for (const char* scope : {"inference", "read", "admin"}) {
    keys[scope] = key(std::string(R"({"name":"k","scope":")") + scope + R"("})");
  }
  keys["expired"] = key(R"({"name":"k","scope":"admin","expires":"1s"})");
  keys["revoked"] = key(R"({"name":"k","scope":"admin"})");
  revoke(keys["revoked"]);
  clock_.advance(std::chrono::seconds(2));
  int asked = 0;
  int refused_by_wire = 0;
  int reached_rightly = 0;
  for (const Credential& credential : credentials(keys)) {
    for (const Route& route : gateway_->routes()) {
      const std::vector<std::string> targets = spellings(concrete(route.pattern));
      ASSERT_GE(targets.size(), 40U);
      for (const std::string& target : targets) {
        const std::string what = credential.name + ": " + route.method + " " + target;
        reached_ = 0;
        last_ = nullptr;
        const http::Response answer =
            ask({.method = route.method, .target = target, .fields = credential.fields, .body = {}});
        ++asked;
        if (answer.status == 0) {
          ++refused_by_wire;
          EXPECT_EQ(reached_, 0) << what;
          continue;
        }
        if (reached_ > 0) {
          ASSERT_NE(last_, nullptr);
          EXPECT_TRUE(has_right(credential.scope, last_->access)) << what << " reached " << last_->pattern;
          EXPECT_EQ(answer.status, 200) << what;
          ++reached_rightly;
          continue;
        }
        // Who shows no key hears the same of every path: which exist is not for him. (The workers' own is 404 for all.)
        if (!credential.scope.has_value() && route.access != Access::kSocket) {
          EXPECT_TRUE(answer.status == 401 || answer.status == 429 || answer.status == 400) << what << answer.status;
          EXPECT_EQ(answer.status == 401, answer.headers.find("www-authenticate").has_value()) << what;
        }
      }
      // As it is written, the right key gets through.
      reached_ = 0;
      ask({.method = route.method, .target = concrete(route.pattern), .fields = credential.fields, .body = {}});
      EXPECT_EQ(reached_ > 0, has_right(credential.scope, route.access)) << credential.name << route.pattern;
    }
  }
  EXPECT_GT(asked, 10'000);
  EXPECT_GT(refused_by_wire, 1'000);
  EXPECT_GT(reached_rightly, 1'000);
  RecordProperty("asked", asked);
  std::printf("asked %d, refused by the wire %d, reached with the right %d\n", asked, refused_by_wire, reached_rightly);
}

TEST_F(Door, MethodsTellNothingToWhoHasNoKey) {
  const std::string good = key(R"({"name":"k"})");
  for (const Route& route : gateway_->routes()) {
    if (route.access == Access::kSocket) continue;
    for (const char* method :
         {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "POSTX"}) {
      const Route* const taken = counted_.find(method, concrete(route.pattern));
      const bool is_open = taken != nullptr && (taken->access == Access::kOpen || taken->access == Access::kConsole);
      reached_ = 0;
      const http::Response answer =
          ask({.method = method, .target = concrete(route.pattern), .fields = {}, .body = {}});
      EXPECT_EQ(reached_ > 0, is_open) << method << " " << route.pattern;
      if (!is_open) {
        EXPECT_TRUE(answer.status == 401 || answer.status == 429) << method << answer.status;
      }
      clock_.advance(std::chrono::minutes(1));
    }
  }
  const Fields fields{{"authorization", "Bearer " + good}};
  EXPECT_EQ(ask({.method = "PUT", .target = "/generate", .fields = fields, .body = {}}).status, 405);
  EXPECT_EQ(ask({.method = "GET", .target = "/nothing", .fields = fields, .body = {}}).status, 404);
  EXPECT_EQ(ask({.method = "GET", .target = "/nothing", .fields = {}, .body = {}}).status, 401);
}

TEST_F(Door, ARouteWithoutAnAccessIsNobodys) {
  Route forgotten;
  forgotten.method = "GET";
  forgotten.pattern = "/forgotten";
  forgotten.handler = [this](Call& call) {
    ++reached_;
    return reply_json(call, 200, "{}");
  };
  counted_.add(forgotten);
  const auto status = [this](Fields fields, const char* peer) {
    return ask({.method = "GET", .target = "/forgotten", .fields = std::move(fields), .body = {}, .peer = peer}).status;
  };
  EXPECT_EQ(status({}, "unix"), 403);
  EXPECT_EQ(status({}, "127.0.0.1:1"), 403) << "no key exists: everything else is open";
  const std::string admin = key(R"({"name":"k","scope":"admin"})");
  EXPECT_EQ(status({}, "127.0.0.1:1"), 401);
  EXPECT_EQ(status({{"x-api-key", admin}}, "127.0.0.1:1"), 403);
  EXPECT_EQ(reached_, 0);
}

TEST_F(Door, WithoutAKeyThereIsNoLockAndASocketNeverHasOne) {
  const auto status = [this](const char* target, Fields fields, const char* peer) {
    return ask({.method = "GET", .target = target, .fields = std::move(fields), .body = {}, .peer = peer}).status;
  };
  const Fields nonsense{{"authorization", "Bearer nonsense"}};
  EXPECT_EQ(status("/v1/models", {}, "127.0.0.1:1"), 200);
  EXPECT_EQ(status("/v1/models", nonsense, "127.0.0.1:1"), 200) << "client libraries send one, whatever it is";
  EXPECT_EQ(status("/admin/v1/status", nonsense, "127.0.0.1:1"), 200);
  EXPECT_EQ(status("/internal/worker", {}, "127.0.0.1:1"), 404);
  const std::string brief = key(R"({"name":"k","expires":"1s"})");
  EXPECT_EQ(status("/v1/models", nonsense, "127.0.0.1:1"), 401);
  EXPECT_EQ(status("/v1/models", nonsense, "unix"), 200);
  EXPECT_EQ(status("/admin/v1/status", {}, "unix"), 200);
  EXPECT_EQ(status("/internal/worker", {}, "unix"), 200);
  EXPECT_EQ(status("/internal/worker", {{"x-api-key", brief}}, "127.0.0.1:1"), 404);
  EXPECT_EQ(status("/livez", {}, "127.0.0.1:1"), 200);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_FALSE(ring_->any_active());
  EXPECT_EQ(status("/v1/models", {}, "127.0.0.1:1"), 401) << "the last key's end opens nothing";
}

TEST_F(Door, RefusalsAreTheTablesAndSayNoMore) {
  const std::string good = key(R"({"name":"k"})");
  const std::string gone = key(R"({"name":"k"})");
  revoke(gone);
  const std::string late = key(R"({"name":"k","expires":"1s"})");
  clock_.advance(std::chrono::seconds(1));
  const auto ask_with = [this](Fields fields) {
    return ask({.method = "GET", .target = "/v1/models", .fields = std::move(fields), .body = {}});
  };
  EXPECT_EQ(ask_with({}).body, api::error_body({api::ErrorCode::kMissingApiKey, "", ""}));
  const std::string invalid = api::error_body({api::ErrorCode::kInvalidApiKey, "", ""});
  for (const std::string& shown : {std::string("x"), gone, make_key(Scope::kInference, make_kid()),
                                   make_key(Scope::kInference, *kid_of(good)), std::string(4'000, 'k')}) {
    const http::Response answer = ask_with({{"authorization", "Bearer " + shown}});
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.body, invalid);
    EXPECT_EQ(answer.headers.find("www-authenticate"), "Bearer");
  }
  EXPECT_EQ(ask_with({{"x-api-key", late}}).body, api::error_body({api::ErrorCode::kExpiredApiKey, "", ""}));
  EXPECT_EQ(ask_with({{"x-api-key", good}, {"authorization", "Bearer " + good}}).status, 400);
  EXPECT_EQ(ask_with({{"x-api-key", good}, {"x-api-key", good}}).status, 400);
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER ", "Bearer    "}) {
    EXPECT_EQ(ask_with({{"authorization", scheme + good}}).status, 200) << scheme;
  }
  EXPECT_EQ(ask({.method = "GET", .target = "/v1/models?api_key=" + good, .fields = {}, .body = {}}).status, 401);
  EXPECT_EQ(ask({.method = "GET", .target = "/admin/v1/status", .fields = {{"x-api-key", good}}, .body = {}}).body,
            api::error_body({api::ErrorCode::kInsufficientScope, "", ""}));
}

TEST_F(Door, WhoFailsOftenWaitsAndNobodyElseDoes) {
  const std::string good = key(R"({"name":"k"})");
  const auto status = [this](const Fields& fields, const std::string& peer) {
    const http::Response answer =
        ask({.method = "GET", .target = "/v1/models", .fields = fields, .body = {}, .peer = peer});
    if (answer.status == 429) {
      EXPECT_EQ(answer.headers.find("retry-after"), "6");
    }
    return answer.status;
  };
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status({}, fmt::format("10.0.0.7:{}", 1'000 + i)), 401);
  EXPECT_EQ(status({}, "10.0.0.7:1"), 429);
  EXPECT_EQ(status({{"x-api-key", good}}, "10.0.0.7:1"), 200) << "a right key is not held up by its neighbours";
  EXPECT_EQ(status({}, "10.0.0.8:1"), 401);
  clock_.advance(std::chrono::seconds(6));
  EXPECT_EQ(status({}, "10.0.0.7:1"), 401);
  EXPECT_EQ(status({}, "10.0.0.7:1"), 429);
}

TEST_F(Door, AKeysModelsAreAllItSeesAndUses) {
  const std::string one = key(R"({"name":"k","models":["chat"]})");
  const Fields fields{{"authorization", "Bearer " + one}};
  const http::Response list = ask_gateway({.method = "GET", .target = "/v1/models", .fields = fields, .body = {}});
  EXPECT_EQ(list.status, 200);
  EXPECT_NE(list.body.find("\"chat\""), std::string::npos);
  EXPECT_EQ(list.body.find("\"other\""), std::string::npos) << list.body;
  const std::string refusal = api::error_body({api::ErrorCode::kModelNotAllowed, "", "model"});
  EXPECT_EQ(ask_gateway({.method = "GET", .target = "/v1/models/chat", .fields = fields, .body = {}}).status, 200);
  EXPECT_EQ(ask_gateway({.method = "GET", .target = "/v1/models/other", .fields = fields, .body = {}}).body, refusal);
  for (const char* model : {"other", "other-alias"}) {
    const std::string chat = std::string(R"({"model":")") + model + R"(","messages":[{"role":"user","content":"x"}]})";
    const std::string text = std::string(R"({"model":")") + model + R"(","prompt":"x"})";
    const auto post = [&](const char* target, const std::string& body) {
      return ask_gateway({.method = "POST", .target = target, .fields = fields, .body = body}).body;
    };
    EXPECT_EQ(post("/v1/chat/completions", chat), refusal);
    EXPECT_EQ(post("/v1/completions", text), refusal);
    EXPECT_EQ(post("/generate", text), refusal);
  }
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

// T-65 in a short form. The canaries are real keys and near ones, in every place a client may put them.
TEST_F(Door, AKeyIsNowhereButInItsRequest) {
  set_log_level(LogLevel::kDebug);
  ::testing::internal::CaptureStderr();
  std::vector<std::string> canaries;
  int asked = 0;
  const std::string admin = ask_gateway({.method = "POST",
                                         .target = "/admin/v1/keys",
                                         .fields = {},
                                         .body = R"({"name":"first","scope":"admin"})",
                                         .peer = "unix"})
                                .body;
  canaries.push_back(parse_issued_key(admin)->key);
  for (int round = 0; round < 60; ++round) {
    const std::string made = ask_gateway({.method = "POST",
                                          .target = "/admin/v1/keys",
                                          .fields = {{"x-api-key", canaries.front()}},
                                          .body = R"({"name":"app"})"})
                                 .body;
    const Result<IssuedKey> issued = parse_issued_key(made);
    ASSERT_TRUE(issued.has_value()) << made;
    const std::string good = issued->key;
    const std::string near = make_key(Scope::kInference, issued->view.kid);
    canaries.push_back(good);
    canaries.push_back(near);
    for (const std::string& secret : {good, near}) {
      const Fields bearer{{"authorization", "Bearer " + secret}};
      const std::string rotate = "/admin/v1/keys/" + issued->view.kid + "/rotate";
      const std::string odd = R"({"model":")" + secret + R"(","messages":[{"role":"user","content":"x"}]})";
      for (const Asked& wish :
           {Asked{.target = "/v1/models", .fields = bearer, .body = {}},
            Asked{.target = "/v1/models/" + secret, .fields = bearer, .body = {}},
            Asked{.target = "/" + secret + "?key=" + secret, .fields = {}, .body = {}},
            Asked{.target = "/admin/v1/keys/" + secret, .fields = {{"x-api-key", canaries.front()}}, .body = {}},
            Asked{.target = "/admin/v1/status?api_key=" + secret, .fields = bearer, .body = {}},
            Asked{.method = "POST", .target = "/v1/chat/completions", .fields = bearer, .body = odd},
            Asked{.method = "POST", .target = "/v1/completions", .fields = bearer, .body = secret},
            Asked{.method = "POST", .target = "/generate", .fields = {{"authorization", secret}}, .body = odd},
            Asked{.method = "POST",
            .target = "/admin/v1/keys",
            .fields = {{"x-api-key", canaries.front()}},
            .body = R"({"name":")" + secret + R"("})"},
            Asked{.method = "POST", .target = rotate, .fields = bearer, .body = R"({"overlap":"0s"})"}}) {
        ask_gateway(wish);
        ++asked;
      }
    }
    const std::string renewed = ask_gateway({.method = "POST",
                                             .target = "/admin/v1/keys/" + issued->view.kid + "/rotate",
                                             .fields = {{"x-api-key", canaries.front()}},
                                             .body = {}})
                                    .body;
    canaries.push_back(parse_issued_key(renewed)->key);
    clock_.advance(std::chrono::minutes(1));
  }
  EXPECT_GE(asked, 1'000);
  log_warn("event=odd text=\"{}\"", canaries.front());
  const std::string log = ::testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::kInfo);
  const std::string metrics =
      ask_gateway({.method = "GET", .target = "/metrics", .fields = {{"x-api-key", canaries.front()}}, .body = {}})
          .body;
  const std::string list = ask_gateway({.method = "GET",
                                        .target = "/admin/v1/keys?limit=1000",
                                        .fields = {{"x-api-key", canaries.front()}},
                                        .body = {}})
                               .body;
  std::string ledger;
  for (const char* name : {"ledger.db", "ledger.db-wal"}) ledger += bytes_of(directory_ / name);
  EXPECT_NE(log.find("event=request"), std::string::npos);
  EXPECT_NE(log.find("lsa_[redacted]"), std::string::npos) << "the second line of defence";
  EXPECT_NE(metrics.find("dormouse"), std::string::npos);
  EXPECT_EQ(parse_key_page(list)->keys.size(), 61U);
  EXPECT_NE(ledger.find("key_rotate"), std::string::npos);
  for (const std::string& canary : canaries) {
    const std::string secret = canary.substr(kPrefixCharacters + kKidCharacters + 1, kSecretCharacters);
    for (const std::string_view text :
         {std::string_view(log), std::string_view(metrics), std::string_view(list), std::string_view(ledger)}) {
      EXPECT_EQ(text.find(secret), std::string::npos) << canary;
      EXPECT_EQ(text.find(secret.substr(0, 16)), std::string::npos) << canary;
    }
  }
}

TEST_F(Door, TheKeysApiDoesWhatItSays) {
  const auto call = [this](const char* method, const std::string& target, const std::string& body,
                           const std::string& by = "") {
    Asked asked{.method = method, .target = target, .fields = {}, .body = body};
    by.empty() ? void(asked.peer = "unix") : void(asked.fields = {{"x-api-key", by}});
    return ask_gateway(asked);
  };
  const http::Response made =
      call("POST", "/admin/v1/keys", R"({"name":"boss","scope":"admin","models":["chat-alias"]})");
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(made.headers.find("cache-control"), "no-store");
  const IssuedKey boss = parse_issued_key(made.body).value();
  EXPECT_EQ(boss.view.models, std::vector<std::string>{"chat"}) << "an alias is the deployment it means";
  EXPECT_EQ(call("POST", "/admin/v1/keys", R"({"name":"app","models":["other"]})", boss.key).status, 403);
  EXPECT_EQ(call("POST", "/admin/v1/keys", R"({"name":"app","colour":1})", boss.key).status, 400);
  const IssuedKey app = parse_issued_key(call("POST", "/admin/v1/keys", R"({"name":"app"})", boss.key).body).value();
  EXPECT_EQ(app.view.parent, boss.view.kid);
  EXPECT_EQ(call("POST", "/admin/v1/keys", R"({"name":"x"})", app.key).status, 403);
  EXPECT_EQ(call("GET", "/v1/models", "", app.key).status, 200);
  EXPECT_EQ(call("GET", "/v1/models", "", boss.key).status, 403);
  const std::string path = "/admin/v1/keys/" + app.view.kid;
  const http::Response changed = call("PATCH", path, R"({"rpm":5,"name":"renamed"})", boss.key);
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_NE(changed.body.find("\"rpm\":5"), std::string::npos) << changed.body;
  EXPECT_EQ(call("PATCH", path, R"({"models":[]})", boss.key).status, 403);
  const IssuedKey renewed =
      parse_issued_key(call("POST", path + "/rotate", R"({"overlap":"1h"})", boss.key).body).value();
  EXPECT_EQ(call("GET", "/v1/models", "", app.key).status, 200);
  EXPECT_EQ(call("GET", "/v1/models", "", renewed.key).status, 200);
  EXPECT_EQ(call("POST", path + "/rotate", R"({"overlap":"8d"})", boss.key).status, 400);
  const http::Response list = call("GET", "/admin/v1/keys?limit=1", "", boss.key);
  const KeyPage first = parse_key_page(list.body).value();
  ASSERT_EQ(first.keys.size(), 1U);
  EXPECT_EQ(parse_key_page(call("GET", "/admin/v1/keys?after=" + first.next_after, "").body)->keys.size(), 1U);
  for (const char* query : {"?limit=0", "?limit=1001", "?limit=x", "?after=nobody"}) {
    EXPECT_EQ(call("GET", std::string("/admin/v1/keys") + query, "").status, 400) << query;
  }
  EXPECT_EQ(call("GET", "/admin/v1/keys/nobody", "").status, 404);
  EXPECT_EQ(call("DELETE", "/admin/v1/keys/nobody", "").status, 404);
  EXPECT_EQ(*parse_revoked(call("DELETE", path, "", boss.key).body), std::vector<std::string>{app.view.kid});
  EXPECT_EQ(call("GET", "/v1/models", "", renewed.key).status, 401);
  EXPECT_EQ(call("GET", "/v1/models", "", app.key).status, 401);
  EXPECT_EQ(call("DELETE", path, "", boss.key).status, 200) << "once more";
  EXPECT_EQ(parse_revoked(call("DELETE", "/admin/v1/keys/" + boss.view.kid + "?children=true", "").body)->size(), 2U);
  EXPECT_EQ(call("GET", "/admin/v1/keys", "", boss.key).status, 401);
}

// T-66, less the network: durable, answered, and out, a hundred times over; what the ledger has is what the ring has.
TEST_F(Door, ARevocationIsFeltByTheVeryNextRequest) {
  const auto socket = [this](const char* method, const std::string& target, const std::string& body) {
    return ask_gateway({.method = method, .target = target, .fields = {}, .body = body, .peer = "unix"});
  };
  const auto status = [this](const std::string& key) {
    return ask_gateway({.method = "GET", .target = "/v1/models", .fields = {{"x-api-key", key}}, .body = {}}).status;
  };
  for (int round = 0; round < 100; ++round) {
    const Result<IssuedKey> issued = parse_issued_key(socket("POST", "/admin/v1/keys", R"({"name":"k"})").body);
    ASSERT_TRUE(issued.has_value());
    EXPECT_EQ(status(issued->key), 200);
    EXPECT_EQ(socket("DELETE", "/admin/v1/keys/" + issued->view.kid, "").status, 200);
    EXPECT_EQ(status(issued->key), 401) << round;
    clock_.advance(std::chrono::minutes(1));  // else the address would be told to wait
  }
  gateway_.reset();
  deployer_.reset();
  supervisor_.reset();
  ledger_.reset();
  ledger::Options options;
  options.path = (directory_ / "ledger.db").string();
  options.clock = &system_clock_;
  options.ballast_bytes = 0;
  ledger_ = ledger::Ledger::open(options).value();
  EXPECT_EQ(ledger_->keys_at_start().size(), 100U);
  for (const ledger::ApiKey& row : ledger_->keys_at_start()) {
    EXPECT_TRUE(row.revoked_us.has_value());
    EXPECT_GT(row.used_us, 0) << "written once a minute";
  }
}

}  // namespace
}  // namespace dormouse::gateway
