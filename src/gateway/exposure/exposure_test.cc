// Goal: who may come in by which door: the refusal matrix (requirement S-24), the Host matrix over every way to bind
// (requirement S-23), where the admin API is. Method: tables over the plan; no sockets. Over the wire: tests/e2e.
#include "gateway/exposure/exposure.h"

#include <gtest/gtest.h>

#include <optional>

#include "gateway/exposure/host_names.h"

namespace dormouse::gateway {
namespace {

ExposureOptions listening(std::vector<std::string> listen) {
  ExposureOptions out;
  out.listen = std::move(listen);
  return out;
}

ExposureOptions with_tls(ExposureOptions options) {
  options.tls_certificate = "/c.pem";
  options.tls_key = "/k.pem";
  return options;
}

// "" or what the message tells to do: 'k' a key, 't' TLS.
std::string missing(const ExposureOptions& options, bool key) {
  const Result<Exposure> exposure = Exposure::plan(options);
  if (!exposure.has_value()) return exposure.error().message;
  const Status status = exposure->check(key);
  if (status.has_value()) return "";
  EXPECT_EQ(status.error().code, Code::kPermissionDenied);
  const std::string& text = status.error().message;
  return std::string(text.find(kCreateKeyCommand) != std::string::npos ? "k" : "") +
         (text.find(kTlsFlags) != std::string::npos ? "t" : "");
}

TEST(Exposure, TheRefusalMatrix) {
  struct Row {
    const char* address;
    const char* no_key_no_tls;
    const char* no_key_tls;
    const char* key_no_tls;
    const char* key_tls;
  };
  for (const Row& row :
       {Row{"127.0.0.1:8080", "", "", "", ""}, Row{"[::1]:8080", "", "", "", ""}, Row{"localhost:8080", "", "", "", ""},
        Row{"unix:/tmp/x.sock", "", "", "", ""}, Row{"10.1.2.3:8080", "k", "k", "", ""},
        Row{"[fd00::1]:8080", "k", "k", "", ""}, Row{"169.254.1.1:8080", "k", "k", "", ""},
        Row{"0.0.0.0:8080", "kt", "k", "t", ""}, Row{"[::]:8080", "kt", "k", "t", ""},
        Row{"203.0.113.7:8080", "kt", "k", "t", ""}, Row{"[2001:db8::1]:8080", "kt", "k", "t", ""},
        // 10.0.0.1 in other clothes, and an address that only looks like loopback.
        Row{"[::ffff:10.0.0.1]:80", "k", "k", "", ""}, Row{"[::ffff:8.8.8.8]:80", "kt", "k", "t", ""}}) {
    const ExposureOptions plain = listening({row.address});
    EXPECT_EQ(missing(plain, false), row.no_key_no_tls) << row.address;
    EXPECT_EQ(missing(with_tls(plain), false), row.no_key_tls) << row.address;
    EXPECT_EQ(missing(plain, true), row.key_no_tls) << row.address;
    EXPECT_EQ(missing(with_tls(plain), true), row.key_tls) << row.address;
  }
}

TEST(Exposure, AProxyStandsInForTlsAndMakesLoopbackPublic) {
  ExposureOptions options = listening({"127.0.0.1:8080"});
  options.behind_proxy = {"127.0.0.1"};
  EXPECT_EQ(missing(options, false), "k");
  EXPECT_EQ(missing(options, true), "");
  options.listen = {"0.0.0.0:8080"};
  EXPECT_EQ(missing(options, false), "k");
  EXPECT_EQ(missing(options, true), "");
  options.listen = {"unix:/tmp/x.sock"};
  EXPECT_NE(missing(options, true).find("HOST:PORT"), std::string::npos);
  // The admin's listener is behind no proxy.
  options.listen = {"127.0.0.1:8080"};
  options.admin_listen = {"0.0.0.0:8081"};
  EXPECT_EQ(missing(options, true), "t");
}

TEST(Exposure, KeysInTheClearOnAPrivateNetworkAreWarnedOf) {
  EXPECT_EQ(Exposure::plan(listening({"10.1.2.3:80"}))->warnings().size(), 1U);
  EXPECT_TRUE(Exposure::plan(with_tls(listening({"10.1.2.3:80"})))->warnings().empty());
  EXPECT_TRUE(Exposure::plan(listening({"127.0.0.1:80"}))->warnings().empty());
}

TEST(Exposure, TheAdminApiLeavesThePublicDoors) {
  struct Row {
    std::vector<std::string> listen;
    std::vector<std::string> admin;
    const char* doors;  // of each: reach p(rivate) or P(ublic), then a where it serves the admin API
  };
  for (const Row& row : {Row{{"127.0.0.1:1"}, {}, "pa"}, Row{{"127.0.0.1:1", "[::1]:2"}, {}, "pa pa"},
                         Row{{"127.0.0.1:1"}, {"127.0.0.1:2"}, "p pa"}, Row{{"10.0.0.1:1"}, {}, "P pa"},
                         Row{{"127.0.0.1:1", "10.0.0.1:1"}, {}, "p P pa"},
                         Row{{"10.0.0.1:1"}, {"[::1]:9", "10.0.0.2:9"}, "P pa Pa"}, Row{{}, {}, ""}}) {
    ExposureOptions options = listening(row.listen);
    options.admin_listen = row.admin;
    const Result<Exposure> exposure = Exposure::plan(options);
    ASSERT_TRUE(exposure.has_value()) << exposure.error().message;
    std::string doors;
    for (const Door& door : exposure->doors()) {
      doors += doors.empty() ? "" : " ";
      doors += door.reach == Reach::kPublic ? "P" : "p";
      doors += door.serves_admin ? "a" : "";
      EXPECT_EQ(&exposure->door(door.name), &door);
    }
    EXPECT_EQ(doors, row.doors);
  }
  const Result<Exposure> open = Exposure::plan(listening({"10.0.0.1:1"}));
  EXPECT_EQ(open->doors().back().address.to_string(), kDefaultAdminListen);
  EXPECT_EQ(open->door(kSocketDoor).reach, Reach::kSocket);
  EXPECT_EQ(open->door("what?").reach, Reach::kPublic) << "a listener nobody planned serves the least";
  EXPECT_FALSE(open->door("what?").serves_admin);
}

TEST(Exposure, TlsIsForTheListenersAndWhereTheAdminIsReachedByOthers) {
  ExposureOptions options = with_tls(listening({"127.0.0.1:1", "0.0.0.0:2"}));
  options.admin_listen = {"127.0.0.1:3", "10.0.0.1:4"};
  std::string tls;
  const Result<Exposure> exposure = Exposure::plan(options);
  ASSERT_TRUE(exposure.has_value());
  for (const Door& door : exposure->doors()) tls += door.is_tls ? "t" : "-";
  EXPECT_EQ(tls, "tt-t");
}

TEST(Exposure, AnUrlIsOneThatAnswers) {
  struct Row {
    const char* listen;
    bool tls;
    const char* host;  // "": none
    const char* url;
  };
  for (const Row& row :
       {Row{"127.0.0.1:80", false, "", "http://127.0.0.1:80"},
        Row{"localhost:8080", false, "", "http://localhost:8080"}, Row{"[::1]:8080", true, "", "https://[::1]:8080"},
        Row{"0.0.0.0:8443", true, "", "https://127.0.0.1:8443"}, Row{"[::]:8443", true, "", "https://[::1]:8443"},
        Row{"0.0.0.0:8443", true, "chat.example.org", "https://chat.example.org:8443"},
        Row{"10.0.0.1:80", false, "chat.example.org", "http://10.0.0.1:80"},
        Row{"unix:/tmp/x.sock", false, "", "unix:/tmp/x.sock"}}) {
    ExposureOptions options = listening({row.listen});
    if (row.host[0] != '\0') options.hosts = {row.host};
    Exposure exposure = Exposure::plan(row.tls ? with_tls(options) : options).value();
    const Door& door = exposure.doors().front();
    exposure.bound(door.name, door.address, {});
    EXPECT_EQ(exposure.url(door), row.url);
    const std::size_t host_at = exposure.url(door).find("//");
    if (host_at == std::string::npos) continue;
    EXPECT_TRUE(exposure.allows_host(door, exposure.url(door).substr(host_at + 2))) << row.url;
  }
}

TEST(Exposure, WhatIsWrongIsNamed) {
  struct Row {
    const char* what;
    ExposureOptions options;
  };
  std::vector<Row> rows{{"--tls-cert", listening({})},     {"--tls-cert", listening({})},
                        {"--behind-proxy", listening({})}, {"--host", listening({})},
                        {"--cors", listening({})},         {"--listen", listening({"example.com:80"})},
                        {"address", listening({"80"})},    {"--admin-listen", listening({})}};
  rows[0].options.tls_certificate = "x";
  rows[1].options.tls_key = "x";
  rows[2].options.behind_proxy = {"0.0.0.0/0"};
  rows[3].options.hosts = {"*.example.org"};
  rows[4].options.cors = {"example.org"};
  rows[7].options.admin_listen = {"example.com:80"};
  for (const Row& row : rows) {
    const Result<Exposure> exposure = Exposure::plan(row.options);
    ASSERT_FALSE(exposure.has_value()) << row.what;
    EXPECT_EQ(exposure.error().code, Code::kInvalidArgument) << row.what;
    EXPECT_NE(exposure.error().message.find(row.what), std::string::npos) << exposure.error().message;
  }
}

// Hosts that every way to bind answers for, and that none does.
constexpr const char* kAlways[] = {"localhost",   "localhost:8080",   "LOCALHOST:1",         "LocalHost",
                                   "127.0.0.1",   "127.0.0.1:8080",   "127.0.0.1:0",         "[::1]",
                                   "[::1]:65535", "chat.example.org", "Chat.Example.Org:443"};
constexpr const char* kNever[] = {"",
                                  ":",
                                  ":80",
                                  ".",
                                  "*",
                                  "evil.example",
                                  "example.org",
                                  "x.chat.example.org",
                                  "chat.example.org.",
                                  "chat.example.org.evil.example",
                                  "xchat.example.org",
                                  "chat.example.orgx",
                                  "localhost.",
                                  "localhost.evil.example",
                                  "evil.localhost",
                                  "localhost.local",
                                  "printer.local",
                                  "gateway.internal",
                                  "127.0.0.1.evil.example",
                                  "127.0.0.1.nip.io",
                                  "127.0.0.2",
                                  "127.1",
                                  "127.0.0.01",
                                  "127.0.0.1.",
                                  "0177.0.0.1",
                                  "0x7f.0.0.1",
                                  "0x7f000001",
                                  "2130706433",
                                  "0.0.0.0",
                                  "0",
                                  "::1",
                                  "[::1",
                                  "::1]",
                                  "[::1]80",
                                  "[::1]:",
                                  "[::]",
                                  "[::2]",
                                  "[::ffff:127.0.0.1]",
                                  "[0:0:0:0:0:0:0:1]",
                                  "[::1%lo]",
                                  "[127.0.0.1]",
                                  "[localhost]",
                                  "localhost:",
                                  "localhost:x",
                                  "localhost:80x",
                                  "localhost:-1",
                                  "localhost:+80",
                                  "localhost: 80",
                                  "localhost:65536",
                                  "localhost:000080",
                                  "localhost:80:80",
                                  "localhost,evil.example",
                                  "localhost evil.example",
                                  " localhost",
                                  "localhost ",
                                  "localhost\t",
                                  "localhost/",
                                  "localhost#",
                                  "localhost?x",
                                  "user@localhost",
                                  "http://localhost",
                                  "lo%63alhost",
                                  "-localhost",
                                  "local..host",
                                  "l\xc3\xb6"
                                  "calhost",
                                  "203.0.113.7",
                                  "192.0.2.1"};

TEST(Exposure, TheHostMatrixOverEveryWayToBind) {
  struct Mode {
    const char* name;
    const char* listen;
    std::vector<const char*> own;  // hosts that are its own and nobody else's
    bool tls;
    bool proxied;
  };
  const std::vector<Mode> modes{{"loopback", "127.0.0.1:0", {}, false, false},
                                {"loopback 6", "[::1]:0", {}, false, false},
                                {"by name", "localhost:0", {}, false, false},
                                {"loopback behind a proxy", "127.0.0.1:0", {}, false, true},
                                {"private", "10.1.2.3:0", {"10.1.2.3", "10.1.2.3:99"}, false, false},
                                {"private 6", "[fd00::7]:0", {"[fd00::7]", "[FD00::7]:1"}, false, false},
                                {"open, TLS", "198.51.100.4:0", {"198.51.100.4"}, true, false},
                                {"wildcard", "0.0.0.0:0", {"172.17.0.2", "[fd00::99]:8080"}, true, false},
                                {"wildcard 6", "[::]:0", {"172.17.0.2:1", "[fd00::99]"}, true, false}};
  const std::vector<IpAddress> interfaces{IpAddress::parse("127.0.0.1").value(), IpAddress::parse("172.17.0.2").value(),
                                          IpAddress::parse("fd00::99").value()};
  int cases = 0;
  for (const Mode& mode : modes) {
    ExposureOptions options = listening({mode.listen});
    options.hosts = {"Chat.example.org"};
    if (mode.proxied) options.behind_proxy = {"10.0.0.0/8"};
    Exposure exposure = Exposure::plan(mode.tls ? with_tls(options) : options).value();
    const std::string name = exposure.doors().front().name;
    exposure.bound(name, exposure.doors().front().address, interfaces);
    const Door& door = exposure.door(name);
    for (const char* host : kAlways) EXPECT_TRUE(exposure.allows_host(door, host)) << mode.name << ": " << host;
    for (const char* host : kNever) EXPECT_FALSE(exposure.allows_host(door, host)) << mode.name << ": " << host;
    for (const Mode& other : modes) {
      for (const char* host : other.own) {
        const bool same = mode.own == other.own || (mode.name[0] == 'w' && other.name[0] == 'w');
        EXPECT_EQ(exposure.allows_host(door, host), same) << mode.name << ": " << host;
        ++cases;
      }
    }
    cases += static_cast<int>(std::size(kAlways) + std::size(kNever));
  }
  EXPECT_GE(cases, 60 * static_cast<int>(modes.size()));
}

TEST(Exposure, OriginsOfThisMachineAndOurOwn) {
  for (const char* good : {"http://localhost", "https://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:1"}) {
    EXPECT_TRUE(is_loopback_origin(good)) << good;
  }
  for (const char* bad : {"", "null", "localhost", "http://", "http://localhost.evil.example", "http://evil.example",
                          "file://localhost", "http://localhost/", "http://localhost@evil.example", "http://127.0.0.2",
                          "chrome-extension://localhost", "http://localhost, http://evil.example"}) {
    EXPECT_FALSE(is_loopback_origin(bad)) << bad;
  }
  EXPECT_TRUE(is_own_origin("https://chat.example.org", "chat.example.org"));
  EXPECT_TRUE(is_own_origin("http://10.0.0.1:8080", "10.0.0.1:8080"));
  for (const char* other : {"https://chat.example.org:8443", "https://evil.example", "null", "chat.example.org",
                            "https://chat.example.org.evil.example", "https://"}) {
    EXPECT_FALSE(is_own_origin(other, "chat.example.org")) << other;
  }
}

}  // namespace
}  // namespace dormouse::gateway
