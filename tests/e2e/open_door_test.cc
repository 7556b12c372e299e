// Goal: who gets in where, over the wire: the refusal matrix, private and public deployments on two listeners, the Host
// and Origin checks, the proxy's word, a certificate that changes under a running answer. Method: `dormouse serve` as
// it is without keys; the same house with one in this process; real sockets.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "e2e/open_house.h"
#include "gateway/exposure/interfaces.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr int kExitConfig = 78;
constexpr const char* kBody = R"({"model":"MODEL","prompt":"x"})";

Wish asking(std::string method, std::string target, Fields headers = {}, std::string body = {}) {
  Wish wish;
  wish.method = std::move(method);
  wish.target = std::move(target);
  wish.headers = std::move(headers);
  wish.body = std::move(body);
  return wish;
}

Wish generate(const std::string& model, Fields headers = {}) {
  std::string body = kBody;
  body.replace(body.find("MODEL"), 5, model);
  return asking("POST", "/generate", std::move(headers), std::move(body));
}

std::string header(const Answer& answer, std::string_view name) {
  return std::string(answer.headers.find(name).value_or(""));
}

bool has_cors(const Answer& answer) {
  for (const auto& [name, value] : answer.headers.all()) {
    if (name.starts_with("access-control-")) return true;
  }
  return false;
}

// One of this machine's own, of a private network, as a Host header has it; empty where it has none. Not a link-local
// one, which cannot be bound without naming its interface.
std::string private_address() {
  for (const gateway::IpAddress& address : gateway::interface_addresses()) {
    const std::string text = address.to_string();
    if (!address.is_private() || text.starts_with("fe8") || text.starts_with("169.254.")) continue;
    return address.is_v4() ? text : "[" + text + "]";
  }
  return {};
}

HouseSetup without_keys(std::vector<std::string> extra) {
  HouseSetup setup;
  setup.fakes = {{"demo", "tokens=1"}};
  setup.extra = std::move(extra);
  return setup;
}

TEST(OpenDoor, TheRefusalMatrix) {
  CertificateFiles files;
  files.write(http::make_tls_identity({"localhost"}).value());
  const std::string lan = private_address();
  std::vector<std::string> kinds{"127.0.0.1:0", "0.0.0.0:0"};
  if (lan.empty()) {
    std::puts("not judged here: a private address (this machine has none)");
  } else {
    kinds.push_back(lan + ":0");
  }
  for (const std::string& address : kinds) {
    const bool is_loopback = address.starts_with("127");
    const bool is_open = address.starts_with("0.0.0.0");
    for (const bool tls : {false, true}) {
      std::vector<std::string> extra{"--listen", address, "--admin-listen", "127.0.0.1:0"};
      if (tls) extra.insert(extra.end(), {"--tls-cert", files.certificate(), "--tls-key", files.key()});
      RunningHouse house(without_keys(extra));
      EXPECT_EQ(house.is_up(), is_loopback) << address << tls << house.log();
      if (!is_loopback) {
        const std::optional<ExitStatus> exit = house.wait_exit(milliseconds(0));
        ASSERT_TRUE(exit.has_value()) << address << tls;
        EXPECT_EQ(exit->exit_code, kExitConfig) << house.log();
        EXPECT_NE(house.log().find("dormouse keys create --name app --scope inference"), std::string::npos)
            << house.log();
        EXPECT_EQ(house.log().find("--tls-cert") != std::string::npos, is_open && !tls) << house.log();
      }
      gateway::ExposureOptions options;
      options.listen = {address};
      options.admin_listen = {"127.0.0.1:0"};
      if (tls) files.add_to(options);
      const OpenHouse with_key(options, {{"demo", "tokens=1"}});
      if (is_open && !tls) {
        EXPECT_NE(with_key.failure().find("--tls-cert"), std::string::npos) << with_key.failure();
        EXPECT_EQ(with_key.failure().find("keys create"), std::string::npos) << with_key.failure();
      } else {
        EXPECT_EQ(with_key.failure(), "") << address << tls;
      }
    }
  }
}

TEST(OpenDoor, TheRefusalIsSaidInChineseToo) {
  HouseSetup setup = without_keys({"--listen", "0.0.0.0:0", "--lang", "zh"});
  RunningHouse house(setup);
  EXPECT_FALSE(house.is_up());
  EXPECT_NE(house.log().find("请先创建密钥"), std::string::npos) << house.log();
  EXPECT_NE(house.log().find("请加密"), std::string::npos) << house.log();
}

TEST(OpenDoor, BadFlagsAreWrongUsage) {
  const std::vector<std::vector<std::string>> table{{"--behind-proxy", "0.0.0.0/0"}, {"--host", "*.example.org"},
                                                    {"--cors", "example.org"},       {"--tls-cert", "/x"},
                                                    {"--listen", "example.org:80"},  {"--admin-listen", "nothing"}};
  for (const std::vector<std::string>& extra : table) {
    RunningHouse house(without_keys(extra));
    EXPECT_FALSE(house.is_up()) << extra[0];
    const std::optional<ExitStatus> exit = house.wait_exit(milliseconds(0));
    ASSERT_TRUE(exit.has_value()) << extra[0];
    EXPECT_EQ(exit->exit_code, 2) << house.log();
  }
  RunningHouse house(without_keys({"--tls-cert", "/absent.pem", "--tls-key", "/absent.key"}));
  EXPECT_FALSE(house.is_up());
  EXPECT_NE(house.log().find("/absent.pem"), std::string::npos) << house.log();
}

TEST(OpenDoor, APrivateDeploymentIsNotThereThroughAPublicListener) {
  const http::TlsIdentity identity = http::make_tls_identity({"localhost"}).value();
  CertificateFiles files;
  files.write(identity);
  gateway::ExposureOptions options;
  options.listen = {"127.0.0.1:0", "0.0.0.0:0"};
  options.admin_listen = {"127.0.0.1:0"};
  files.add_to(options);
  OpenHouse house(options, {{"hidden", "tokens=1", "private"}, {"shown", "tokens=1", "public"}});
  ASSERT_EQ(house.failure(), "");
  const http::Address inside = house.door(0, &identity);
  const http::Address outside = house.door(1, &identity);
  const http::Address admin = house.door(2, &identity);
  EXPECT_FALSE(admin.tls.has_value()) << "nobody but this machine reaches it";
  struct Row {
    Wish wish;
    int inside;
    int outside;
    int admin;
  };
  for (const Row& row :
       {Row{generate("hidden"), 200, 404, 200}, Row{generate("shown"), 200, 200, 200}, Row{generate(""), 404, 200, 404},
        Row{generate("nobody"), 404, 404, 404}, Row{asking("GET", "/v1/models/hidden"), 200, 404, 200},
        Row{asking("GET", "/v1/models/shown"), 200, 200, 200}, Row{asking("GET", "/livez"), 200, 200, 200},
        Row{asking("GET", "/metrics"), 404, 404, 200}, Row{asking("POST", "/metrics"), 404, 404, 405},
        Row{asking("OPTIONS", "/admin/v1/status"), 404, 404, 405},
        Row{asking("GET", "/admin/v1/status"), 404, 404, 200},
        Row{asking("POST", "/admin/v1/deployments/shown/sleep"), 404, 404, 200},
        Row{asking("GET", "/internal/worker"), 404, 404, 404}}) {
    const std::string what = row.wish.method + " " + row.wish.target + " " + row.wish.body;
    EXPECT_EQ(ask_of(inside, row.wish).status, row.inside) << what;
    EXPECT_EQ(ask_of(outside, row.wish).status, row.outside) << what;
    EXPECT_EQ(ask_of(admin, row.wish).status, row.admin) << what;
  }
  const Answer hidden = ask_of(outside, generate("hidden"));
  const Answer nobody = ask_of(outside, generate("nobody"));
  EXPECT_EQ(hidden.body, nobody.body) << "and nothing tells the two apart";
  EXPECT_EQ(ask_of(outside, asking("GET", "/v1/models")).body.find("hidden"), std::string::npos);
  EXPECT_NE(ask_of(inside, asking("GET", "/v1/models")).body.find("hidden"), std::string::npos);
  EXPECT_EQ(header(ask_of(outside, asking("GET", "/livez")), "strict-transport-security"), "max-age=31536000");
  EXPECT_EQ(header(ask_of(admin, asking("GET", "/livez")), "strict-transport-security"), "");
  // At once, both ways.
  const Wish hide = asking("PATCH", "/admin/v1/deployments/shown", {}, R"({"exposure":"private"})");
  EXPECT_EQ(ask_of(house.socket(), hide).status, 409) << "defined by a flag";
}

TEST(OpenDoor, ADeploymentIsExposedAndHiddenWhileItRuns) {
  RunningHouse house(without_keys({}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string file = house.directory() + "/demo.gguf";
  const auto [code, made] = house.run_cli({"deploy", file, "--name", "open", "--expose", "public"});
  EXPECT_EQ(code, 0) << made;
  EXPECT_NE(made.find("every listener is private"), std::string::npos) << made;
  EXPECT_NE(made.find("dormouse keys create"), std::string::npos) << made;
  EXPECT_EQ(house.deployment("open").rules.exposure, "public");
  const auto [hide_code, hidden] = house.run_cli({"set", "open", "exposure=private"});
  EXPECT_EQ(hide_code, 0) << hidden;
  EXPECT_EQ(hidden.find("!"), std::string::npos) << hidden;
  EXPECT_EQ(house.deployment("open").rules.exposure, "private");
  const auto [show_code, shown] = house.run_cli({"set", "open", "exposure=public"});
  EXPECT_EQ(show_code, 0) << shown;
  EXPECT_NE(shown.find("every listener is private"), std::string::npos) << shown;
  const auto [bad_code, bad] = house.run_cli({"set", "open", "exposure=everybody"});
  EXPECT_EQ(bad_code, 2) << bad;
}

TEST(OpenDoor, TheHostMatrixOverTheWire) {
  const http::TlsIdentity identity = http::make_tls_identity({"localhost"}).value();
  CertificateFiles files;
  files.write(identity);
  gateway::ExposureOptions options;
  options.listen = {"127.0.0.1:0", "0.0.0.0:0"};
  options.admin_listen = {"127.0.0.1:0"};
  options.hosts = {"chat.example.org"};
  files.add_to(options);
  OpenHouse house(options, {{"demo", "tokens=1", "public"}});
  ASSERT_EQ(house.failure(), "");
  struct Row {
    std::string host;
    int status;
  };
  std::vector<Row> table{{"localhost", 200},         {"LOCALHOST:1", 200},
                         {"127.0.0.1", 200},         {"[::1]:8080", 200},
                         {"chat.example.org", 200},  {"Chat.Example.org:443", 200},
                         {"evil.example", 421},      {"localhost.evil.example", 421},
                         {"127.0.0.1.nip.io", 421},  {"x.local", 421},
                         {"0.0.0.0", 421},           {"chat.example.org.", 421},
                         {"xchat.example.org", 421}, {"localhost:80:80", 421},
                         {"localhost:99999", 421},   {"[::1", 421},
                         {"2130706433", 421}};
  for (std::size_t door = 0; door < 3; ++door) {
    const http::Address address = house.door(door, &identity);
    for (const Row& row : table) {
      for (const char* target : {"/livez", "/v1/models"}) {
        EXPECT_EQ(ask_of(address, asking("GET", target, {{"host", row.host}})).status, row.status)
            << door << target << " " << row.host;
      }
    }
  }
  const std::string lan = private_address();
  if (!lan.empty()) {
    EXPECT_EQ(ask_of(house.door(0, &identity), asking("GET", "/livez", {{"host", lan}})).status, 421)
        << "bound to loopback, this address is another's";
    EXPECT_EQ(ask_of(house.door(1, &identity), asking("GET", "/livez", {{"host", lan + ":8080"}})).status, 200);
  }
  EXPECT_EQ(ask_of(house.socket(), asking("GET", "/admin/v1/status", {{"host", "evil.example"}})).status, 200)
      << "no browser speaks to a Unix socket";
}

TEST(OpenDoor, WithoutCorsNoPageOfOthersGetsIn) {
  RunningHouse house(without_keys({}));
  ASSERT_TRUE(house.is_up()) << house.log();
  for (const char* origin : {"https://evil.example", "null", "http://localhost.evil.example", "file://"}) {
    const Answer answer = house.ask(generate("demo", {{"origin", origin}}));
    EXPECT_EQ(answer.status, 421) << origin;
    EXPECT_FALSE(has_cors(answer)) << origin;
    const Answer preflight =
        house.ask(asking("OPTIONS", "/generate", {{"origin", origin}, {"access-control-request-method", "POST"}}));
    EXPECT_EQ(preflight.status, 421) << origin;
    EXPECT_FALSE(has_cors(preflight)) << origin;
  }
  const Answer local = house.ask(generate("demo", {{"origin", "http://localhost:3000"}}));
  EXPECT_EQ(local.status, 200);
  EXPECT_FALSE(has_cors(local)) << "it may ask; only a listed one may read";
  EXPECT_EQ(house.rows().size(), 1U);
  const char* const sleep = "/admin/v1/deployments/demo/sleep";
  EXPECT_EQ(house.ask(asking("POST", sleep, {{"origin", "http://localhost:3000"}})).status, 421)
      << "nor does another program's page run this server";
  EXPECT_EQ(house.ask(asking("POST", sleep, {{"host", "localhost:9"}, {"origin", "http://localhost:9"}})).status, 200)
      << "its own page does";
}

TEST(OpenDoor, AListedPageMayAskAndRead) {
  const std::string page = "https://app.example.org";
  RunningHouse house(without_keys({"--cors", page, "--cors", "http://localhost:3000"}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Fields wanted{{"origin", page},
                      {"access-control-request-method", "POST"},
                      {"access-control-request-headers", "authorization,content-type,cookie,x-stainless-os"}};
  const Answer preflight = house.ask(asking("OPTIONS", "/v1/chat/completions", wanted));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(header(preflight, "access-control-allow-origin"), page);
  EXPECT_EQ(header(preflight, "access-control-allow-methods"), "GET, POST");
  EXPECT_EQ(header(preflight, "access-control-allow-headers"), "authorization, content-type, x-stainless-os");
  EXPECT_EQ(header(preflight, "access-control-max-age"), "3600");
  EXPECT_EQ(header(preflight, "vary"), "origin");
  EXPECT_FALSE(header(preflight, "x-request-id").empty());

  struct Row {
    Wish wish;
    int status;
  };
  Wish stream = generate("demo", {{"origin", page}});
  stream.body = R"({"prompt":"x","stream":true})";
  for (const Row& row : {Row{generate("demo", {{"origin", page}}), 200}, Row{generate("nope", {{"origin", page}}), 404},
                         Row{stream, 200}, Row{asking("GET", "/v1/models", {{"origin", page}}), 200},
                         Row{asking("GET", "/livez", {{"origin", page}}), 200},
                         Row{asking("GET", "/nothing", {{"origin", page}}), 404}}) {
    const Answer answer = house.ask(row.wish);
    EXPECT_EQ(answer.status, row.status) << row.wish.target;
    EXPECT_EQ(header(answer, "access-control-allow-origin"), page) << row.wish.target;
    EXPECT_EQ(header(answer, "access-control-allow-credentials"), "");
    EXPECT_NE(header(answer, "access-control-expose-headers").find("x-request-id"), std::string::npos);
    EXPECT_EQ(header(answer, "vary"), "origin");
  }
  EXPECT_EQ(header(house.ask(generate("demo")), "vary"), "origin") << "a cache must know, also without an Origin";

  // Neither others' pages nor the admin's routes, nor a preflight for what is not there.
  for (const char* origin : {"https://evil.example", "https://app.example.org.evil.example", "null", "*"}) {
    EXPECT_EQ(house.ask(generate("demo", {{"origin", origin}})).status, 421) << origin;
  }
  for (const Wish& wish : {asking("GET", "/admin/v1/status", {{"origin", page}}),
                           asking("GET", "/metrics", {{"origin", page}}), asking("OPTIONS", "/admin/v1/status", wanted),
                           asking("POST", "/admin/v1/deployments", {{"origin", page}}, R"({"image":"x"})")}) {
    const Answer answer = house.ask(wish);
    EXPECT_EQ(answer.status, 421) << wish.method << wish.target;
    EXPECT_FALSE(has_cors(answer)) << wish.target;
  }
  EXPECT_EQ(house.ask(asking("OPTIONS", "/nothing", wanted)).status, 404);
  Fields deletes = wanted;
  deletes[1].second = "DELETE";
  EXPECT_EQ(house.ask(asking("OPTIONS", "/generate", deletes)).status, 405);
  EXPECT_EQ(house.ask(asking("OPTIONS", "/livez", wanted)).status, 405);
}

TEST(OpenDoor, AStarIsForPagesWithoutCookies) {
  RunningHouse house(without_keys({"--cors", "*"}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.ask(generate("demo", {{"origin", "https://anybody.example"}}));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(header(answer, "access-control-allow-origin"), "*");
  EXPECT_EQ(header(answer, "access-control-allow-credentials"), "");
  EXPECT_EQ(house.ask(asking("GET", "/admin/v1/status", {{"origin", "https://anybody.example"}})).status, 421);
}

TEST(OpenDoor, AProxysWordIsBelievedWhereItIsTrusted) {
  gateway::ExposureOptions options;
  options.listen = {"127.0.0.1:0"};
  options.admin_listen = {"127.0.0.1:0"};
  options.behind_proxy = {"127.0.0.1"};
  options.hosts = {"chat.example.org"};
  testing::internal::CaptureStderr();
  {
    OpenHouse house(options, {{"hidden", "tokens=1"}, {"shown", "tokens=1", "public"}});
    ASSERT_EQ(house.failure(), "");
    const Fields https{
        {"host", "chat.example.org"}, {"x-forwarded-for", "6.6.6.6, 203.0.113.5"}, {"x-forwarded-proto", "https"}};
    const Answer answer = ask_of(house.door(0), generate("shown", https));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(header(answer, "strict-transport-security"), "max-age=31536000");
    EXPECT_EQ(ask_of(house.door(0), generate("hidden", https)).status, 404) << "loopback, and yet public";
    EXPECT_EQ(ask_of(house.door(0), asking("GET", "/metrics", https)).status, 404);
    const Fields liar{{"x-forwarded-for", "203.0.113.5"}, {"forwarded", "for=6.6.6.6"}};
    EXPECT_EQ(ask_of(house.door(0), generate("shown", liar)).status, 400);
    // The admin's own listener is behind no proxy: nothing is believed there.
    const Answer admin = ask_of(house.door(1), generate("hidden", {{"x-forwarded-for", "203.0.113.77"}}));
    EXPECT_EQ(admin.status, 200);
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("client=203.0.113.5 method=POST route=/generate status=200"), std::string::npos) << log;
  EXPECT_NE(log.find("client=127.0.0.1 method=POST route=/generate status=200"), std::string::npos) << log;
  EXPECT_EQ(log.find("client=6.6.6.6"), std::string::npos) << log;
  EXPECT_EQ(log.find("203.0.113.77"), std::string::npos) << log;
}

TEST(OpenDoor, ANewCertificateIsForNewConnectionsOnly) {
  const http::TlsIdentity first = http::make_tls_identity({"localhost"}).value();
  const http::TlsIdentity second = http::make_tls_identity({"localhost"}).value();
  const http::TlsIdentity third = http::make_tls_identity({"localhost"}).value();
  CertificateFiles files;
  files.write(first);
  gateway::ExposureOptions options;
  options.listen = {"127.0.0.1:0"};
  files.add_to(options);
  OpenHouse house(options, {{"demo", "tokens=150,tokens_per_s=50"}});
  ASSERT_EQ(house.failure(), "");
  const auto answers_as = [&](const http::TlsIdentity& identity) {
    return ask_of(house.door(0, &identity), asking("GET", "/livez")).status == 200;
  };
  const auto eventually = [&](const std::function<bool()>& holds) {
    const SystemClock clock;
    const MonoTime end = clock.now() + std::chrono::seconds(10);
    while (!holds()) {
      if (clock.now() > end) return false;
    }
    return true;
  };
  ASSERT_TRUE(answers_as(first));
  ASSERT_FALSE(answers_as(second));
  const auto notices = [&] { return ask_of(house.socket(), asking("GET", "/admin/v1/status")).body; };

  // The answer takes 3 s; the certificate changes after its first piece.
  Wish stream = asking("POST", "/generate", {}, R"({"prompt":"x","stream":true})");
  bool changed = false;
  bool seen = false;
  stream.on_piece = [&](const std::string&) {
    if (changed) return true;
    changed = true;
    files.write(second);
    seen = eventually([&] { return answers_as(second); });
    return true;
  };
  const Answer answer = ask_of(house.door(0, &first), stream);
  EXPECT_TRUE(seen) << "in use while the old connection's answer still runs";
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(sse_events(answer.body).back(), "[DONE]");
  EXPECT_FALSE(answers_as(first));

  // A pair that does not fit: the old one goes on, and somebody hears of it.
  http::TlsIdentity broken = third;
  broken.key_pem = first.key_pem;
  files.write(broken);
  EXPECT_TRUE(eventually([&] { return notices().find("the certificate before it goes on") != std::string::npos; }));
  EXPECT_TRUE(answers_as(second));
  files.write(third);
  EXPECT_TRUE(eventually([&] { return answers_as(third); }));
  EXPECT_TRUE(eventually([&] { return notices().find("the certificate before it goes on") == std::string::npos; }));
}

// The whole way, with a key of the ledger: a loopback listener that a proxy makes a public one.
TEST(OpenDoor, AKeyOpensAPublicDoorAndNothingElseDoes) {
  const std::string page = "https://app.example.org";
  RunningHouse house(without_keys({}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [deploy_code, made] =
      house.run_cli({"deploy", house.directory() + "/demo.gguf", "--name", "open", "--expose", "public"});
  ASSERT_EQ(deploy_code, 0) << made;
  std::ofstream(house.directory() + "/data/dormouse.toml") << "behind_proxy = [\"127.0.0.1\"]\n"
                                                           << "admin_listen = [\"127.0.0.1:0\"]\n"
                                                           << "cors = [\"" << page << "\"]\n";
  EXPECT_FALSE(house.restart()) << "there is no key yet";
  EXPECT_EQ(house.wait_exit(milliseconds(0)).value_or(ExitStatus{}).exit_code, kExitConfig) << house.log();
  auto [key_code, key] = house.run_cli({"keys", "create", "--name", "app", "--scope", "inference"});
  ASSERT_EQ(key_code, 0) << key;
  key.pop_back();
  ASSERT_TRUE(house.start_again()) << house.log();
  const Fields with_key{{"authorization", "Bearer " + key}, {"origin", page}};
  EXPECT_EQ(house.ask(generate("open", with_key)).status, 200);
  EXPECT_EQ(house.ask(generate("demo", with_key)).status, 404) << "private, and this door is not";
  const Answer refused = house.ask(generate("open", {{"origin", page}}));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(header(refused, "access-control-allow-origin"), page) << "a page may read why";
  const Answer preflight = house.ask(asking("OPTIONS", "/generate",
                                            {{"origin", page},
                                             {"access-control-request-method", "POST"},
                                             {"access-control-request-headers", "authorization"}}));
  EXPECT_EQ(preflight.status, 204) << "it carries no key";
  EXPECT_EQ(house.get("/metrics").status, 404);
  const auto [revoke_code, revoked] = house.run_cli({"keys", "revoke", key.substr(4, 10)});
  EXPECT_EQ(revoke_code, 0) << revoked;
  EXPECT_EQ(house.ask(generate("open", with_key)).status, 401);
  const auto [ps_code, ps] = house.run_cli({"ps"});
  EXPECT_EQ(ps_code, 0) << ps;
  EXPECT_NE(ps.find("no API key is active"), std::string::npos) << ps;
  EXPECT_FALSE(house.restart());
  EXPECT_EQ(house.wait_exit(milliseconds(0)).value_or(ExitStatus{}).exit_code, kExitConfig) << house.log();
}

// A path that leads elsewhere after a directory above it was replaced: nothing was written where inotify looks.
TEST(OpenDoor, SighupReadsTheCertificateWhereItsPathLeadsNow) {
  namespace fs = std::filesystem;
  const http::TlsIdentity first = http::make_tls_identity({"localhost"}).value();
  const http::TlsIdentity second = http::make_tls_identity({"localhost"}).value();
  const http::TlsIdentity third = http::make_tls_identity({"localhost"}).value();
  CertificateFiles before;
  before.write(first);
  CertificateFiles after;
  after.write(second);
  CertificateFiles top;
  const fs::path link = fs::path(top.certificate()).parent_path() / "live";
  fs::create_directory_symlink(fs::path(before.certificate()).parent_path(), link);
  RunningHouse house(
      without_keys({"--tls-cert", (link / "cert.pem").string(), "--tls-key", (link / "key.pem").string()}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto status = gateway::parse_status(
      ask_of(*http::Address::parse("unix:" + house.admin_socket()), asking("GET", "/admin/v1/status")).body);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->urls.front().starts_with("https://127.0.0.1:")) << status->urls.front();
  http::Address address = *http::Address::parse(status->listen.front());
  const auto answers_as = [&](const http::TlsIdentity& identity) {
    address.tls = http::TlsTrust{identity.fingerprint, {}};
    return ask_of(address, asking("GET", "/livez")).status == 200;
  };
  ASSERT_TRUE(answers_as(first));
  fs::create_directory_symlink(fs::path(after.certificate()).parent_path(), link.string() + ".new");
  fs::rename(link.string() + ".new", link);
  house.signal(SIGHUP);
  EXPECT_TRUE(house.eventually(milliseconds(10'000), [&] { return answers_as(second); })) << house.log();
  after.write(third);
  EXPECT_TRUE(house.eventually(milliseconds(10'000), [&] { return answers_as(third); }))
      << "and from then on it is watched there";
}

}  // namespace
}  // namespace dormouse::e2e
