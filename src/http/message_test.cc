// Goal: addresses and headers as values. Method: tables.
#include "http/message.h"

#include <gtest/gtest.h>

namespace dormouse::http {
namespace {

TEST(Address, ReadsItsThreeFormsAndWritesThemBack) {
  for (const std::string_view text :
       {"unix:/run/a.sock", "127.0.0.1:8080", "[::1]:0", "localhost:1", "0.0.0.0:65535"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
}

TEST(Address, RefusesEverythingElse) {
  const std::string long_path = "unix:" + std::string(108, 'a');
  for (const std::string_view text :
       {std::string_view(""), std::string_view("unix:"), std::string_view("8080"), std::string_view("host"),
        std::string_view("host:"), std::string_view(":80"), std::string_view("host:65536"), std::string_view("host:-1"),
        std::string_view("host:80x"), std::string_view("::1:80"), std::string_view("http://a:80"),
        std::string_view("a b:80"), std::string_view("[]:80"), std::string_view(long_path)}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
  EXPECT_TRUE(Address::parse("unix:" + std::string(107, 'a')));
}

TEST(Address, LoopbackIsDecidedByTheWholeAddress) {
  for (const char* text : {"unix:/x", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(Address::parse(text)->is_loopback()) << text;
  }
  for (const char* text :
       {"0.0.0.0:1", "127.evil.example:1", "127.0.0.1.evil:1", "10.0.0.1:1", "[::]:1", "localhost.x:1"}) {
    EXPECT_FALSE(Address::parse(text)->is_loopback()) << text;
  }
}

TEST(Headers, NamesCompareWithoutCaseAndSetReplacesAll) {
  Headers headers;
  headers.add("A", "1");
  headers.add("a", "2");
  headers.add("B", "3");
  EXPECT_EQ(headers.find("a"), "1");
  headers.set("a", "4");
  EXPECT_EQ(headers.all().size(), 2U);
  EXPECT_EQ(headers.find("A"), "4");
  headers.remove("b");
  EXPECT_FALSE(headers.find("B"));
}

}  // namespace
}  // namespace dormouse::http
