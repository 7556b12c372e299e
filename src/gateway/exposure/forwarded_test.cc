// Goal: a caller behind a proxy is who the proxy says, and nobody else can say it. Method: tables of headers, with what
// an attacker may put left of, inside and beside what a proxy writes.
#include "gateway/exposure/forwarded.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace dormouse::gateway {
namespace {

using Fields = std::vector<std::pair<const char*, std::string>>;

std::vector<IpNetwork> trusted() {
  return {IpNetwork::parse("10.0.0.0/8").value(), IpNetwork::parse("fd00::/8").value()};
}

// "ADDRESS" or "ADDRESS https", "refused".
std::string client_of(const char* peer, const Fields& fields) {
  http::Headers headers;
  for (const auto& [name, value] : fields) headers.add(name, value);
  const Result<ForwardedClient> client = find_client(IpAddress::parse(peer).value(), headers, trusted());
  if (!client.has_value()) {
    EXPECT_EQ(client.error().code, Code::kInvalidArgument);
    return "refused";
  }
  return client->address.to_string() + (client->is_https ? " https" : "");
}

constexpr const char* kFor = "X-Forwarded-For";
constexpr const char* kProto = "x-forwarded-proto";
constexpr const char* kForwarded = "Forwarded";

TEST(Forwarded, OnlyATrustedPeerIsBelieved) {
  EXPECT_EQ(client_of("203.0.113.9", {{kFor, "1.2.3.4"}, {kProto, "https"}, {kForwarded, "for=1.2.3.4"}}),
            "203.0.113.9");
  EXPECT_EQ(client_of("203.0.113.9", {{kForwarded, "\"broken"}}), "203.0.113.9") << "and not even read";
  EXPECT_EQ(client_of("127.0.0.1", {{kFor, "1.2.3.4"}}), "127.0.0.1");
  EXPECT_EQ(client_of("10.0.0.1", {}), "10.0.0.1");
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}}), "1.2.3.4");
  EXPECT_EQ(client_of("::ffff:10.0.0.1", {{kFor, "1.2.3.4"}}), "1.2.3.4");
}

TEST(Forwarded, TheRightMostThatIsNoProxyOfOursIsTheClient) {
  struct Row {
    const char* list;
    const char* client;
  };
  for (const Row& row :
       {Row{"6.6.6.6, 1.2.3.4", "1.2.3.4"}, Row{"6.6.6.6,1.2.3.4 , 10.9.9.9", "1.2.3.4"},
        Row{"127.0.0.1, 1.2.3.4", "1.2.3.4"}, Row{"1.2.3.4:5555", "1.2.3.4"}, Row{"2001:db8::7", "2001:db8::7"},
        Row{"[2001:db8::7]:99", "2001:db8::7"}, Row{"::ffff:1.2.3.4", "1.2.3.4"}, Row{"10.1.1.1, 10.2.2.2", "10.1.1.1"},
        Row{"\"; drop, 1.2.3.4", "1.2.3.4"},
        // Whoever wrote no address is the last we know.
        Row{"1.2.3.4, unknown", "10.0.0.1"}, Row{"6.6.6.6, unknown, 10.2.2.2", "10.2.2.2"}, Row{"", "10.0.0.1"},
        Row{",", "10.0.0.1"}, Row{"1.2.3.4,", "10.0.0.1"}, Row{"1.2.3.4.5", "10.0.0.1"}, Row{"for=1.2.3.4", "10.0.0.1"},
        Row{"1.2.3.4 6.6.6.6", "10.0.0.1"}}) {
    EXPECT_EQ(client_of("10.0.0.1", {{kFor, row.list}}), row.client) << row.list;
  }
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "6.6.6.6"}, {kFor, "1.2.3.4"}}), "1.2.3.4") << "two lines are one list";
  std::string many = "6.6.6.6";
  for (int i = 0; i < 40; ++i) many += ", 10.0.0.2";
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, many}}), "10.0.0.2") << "so many proxies nobody has";
}

TEST(Forwarded, TheStandardHeader) {
  struct Row {
    const char* header;
    const char* client;
  };
  for (const Row& row :
       {Row{"for=1.2.3.4", "1.2.3.4"}, Row{"For=\"[2001:db8::7]:47\";proto=https", "2001:db8::7 https"},
        Row{"for=6.6.6.6, for=1.2.3.4;proto=http;by=10.0.0.1", "1.2.3.4"},
        Row{"for=1.2.3.4;proto=https, for=10.9.9.9;proto=http", "1.2.3.4 https"},
        Row{"for=\"6.6.6.6, for=7.7.7.7\", for=1.2.3.4", "1.2.3.4"}, Row{"for=unknown", "10.0.0.1"},
        Row{"for=_hidden", "10.0.0.1"}, Row{"for=\"_gazonk\", for=10.3.3.3", "10.3.3.3"},
        Row{"proto=https", "10.0.0.1 https"}, Row{"for=1.2.3.4;;proto=https", "1.2.3.4 https"},
        Row{"for=\"1.2.3.\\4\"", "1.2.3.4"}, Row{"", "10.0.0.1"},
        // What breaks the grammar was not written by a proxy: refused, never guessed at.
        Row{"for=1.2.3.4 for=6.6.6.6", "refused"}, Row{"for=\"1.2.3.4", "refused"}, Row{"for=\"1.2.3.4\\", "refused"},
        Row{"for", "refused"}, Row{"for=", "refused"}, Row{"for=[::1]", "refused"}, Row{"for=::1", "refused"},
        Row{"for=1.2.3.4;for=6.6.6.6", "refused"}, Row{"for=a\"b\"", "refused"}, Row{"for = 1.2.3.4", "refused"},
        Row{"=1.2.3.4", "refused"}, Row{"for=\"x\"y", "refused"},
        // An open quote that would swallow what the proxy appends.
        Row{"for=6.6.6.6;x=\", for=1.2.3.4", "refused"}, Row{"for=\"6.6.6.6, for=\"[2001:db8::1]\"", "refused"}}) {
    EXPECT_EQ(client_of("10.0.0.1", {{kForwarded, row.header}}), row.client) << row.header;
  }
  EXPECT_EQ(client_of("10.0.0.1", {{kForwarded, "for=6.6.6.6"}, {kForwarded, "for=1.2.3.4"}}), "1.2.3.4");
}

TEST(Forwarded, TwoHeadersMustAgree) {
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kForwarded, "for=1.2.3.4"}}), "1.2.3.4");
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kForwarded, "for=6.6.6.6"}}), "refused")
      << "a proxy writes one of them; the other came through it";
}

TEST(Forwarded, HttpsIsWhatTheLastProxySays) {
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kProto, "https"}}), "1.2.3.4 https");
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kProto, "HTTPS"}}), "1.2.3.4 https");
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kProto, "https, http"}}), "1.2.3.4");
  EXPECT_EQ(client_of("10.0.0.1", {{kFor, "1.2.3.4"}, {kProto, "https"}, {kProto, "http"}}), "1.2.3.4");
  EXPECT_EQ(client_of("10.0.0.1", {{kProto, "https://"}}), "10.0.0.1");
}

}  // namespace
}  // namespace dormouse::gateway
