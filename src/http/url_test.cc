// Goal: an address has one reading, and what is not the internet's is known as such in every spelling that has reached
// others' metadata services (the pull CVEs of 2026). Method: tables of both.
#include "http/url.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::http {
namespace {

TEST(Url, HasItsPartsAndOneSpelling) {
  const Result<Url> url = Url::parse("HTTPS://CDN.Example.org:8443/a/b?c=d%20e#part");
  ASSERT_TRUE(url.has_value()) << url.error().message;
  EXPECT_EQ(url->host, "cdn.example.org");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c=d%20e");
  EXPECT_EQ(url->to_string(), "https://cdn.example.org:8443/a/b?c=d%20e");
  EXPECT_EQ(Url::parse("https://h")->to_string(), "https://h/");
  EXPECT_EQ(Url::parse("http://h:80?q")->to_string(), "http://h/?q");
  const Result<Url> six = Url::parse("https://[2606:2800::1]:444/x");
  ASSERT_TRUE(six.has_value());
  EXPECT_EQ(six->host, "2606:2800::1");
  EXPECT_EQ(six->authority(), "[2606:2800::1]:444");
}

TEST(Url, WhatCouldBeReadInTwoWaysIsRefused) {
  for (const std::string text : {"",
                                 "huggingface.co/x",
                                 "ftp://h/x",
                                 "file:///etc/passwd",
                                 "https://",
                                 "https:///x",
                                 "https://user@h/x",
                                 "https://huggingface.co@10.0.0.1/x",
                                 "https://h\\@evil/x",
                                 "https://h /x",
                                 "https://h\r\nX: y/",
                                 "https://h:/x",
                                 "https://h:0/x",
                                 "https://h:65536/x",
                                 "https://h:8x/x",
                                 "https://2130706433/",
                                 "https://0x7f000001/",
                                 "https://0x7f.1/",
                                 "https://127.1/",
                                 "https://0177.0.0.1/",
                                 "https://127.0.0.1./",
                                 "https://1.2.3.256/",
                                 "https://[::1/",
                                 "https://[::1%25lo]/",
                                 "https://[zz]/",
                                 "https://h%2eexample/",
                                 "https://\xe2\x91\xa0/"}) {
    const Result<Url> url = Url::parse(text);
    ASSERT_FALSE(url.has_value()) << text << " became " << url->to_string();
    EXPECT_EQ(url.error().code, Code::kInvalidArgument);
  }
  EXPECT_FALSE(Url::parse("https://h/" + std::string(kMaxUrlBytes, 'a')).has_value());
}

TEST(Url, ALocationIsReadFromWhereItWasGiven) {
  const Url base = Url::parse("https://a.example/one/two?x=1").value();
  EXPECT_EQ(base.resolve("https://b.example/y")->to_string(), "https://b.example/y");
  EXPECT_EQ(base.resolve("//b.example/y")->to_string(), "https://b.example/y");
  EXPECT_EQ(base.resolve("/y?z")->to_string(), "https://a.example/y?z");
  EXPECT_EQ(base.resolve("y")->to_string(), "https://a.example/one/y");
  EXPECT_EQ(base.resolve("?y")->to_string(), "https://a.example/one/two?y");
  EXPECT_FALSE(base.resolve("javascript:alert(1)").has_value());
  EXPECT_FALSE(base.resolve("//user@b.example/").has_value());
}

TEST(PublicAddress, TheSpecialBlocksAreNobodys) {
  for (const char* const ip : {"0.0.0.0",
                               "10.0.0.1",
                               "100.64.0.1",
                               "100.127.255.255",
                               "127.0.0.1",
                               "127.255.255.255",
                               "169.254.169.254",
                               "172.16.0.1",
                               "172.31.255.255",
                               "192.0.0.1",
                               "192.0.2.1",
                               "192.168.1.1",
                               "198.18.0.1",
                               "198.19.255.255",
                               "198.51.100.7",
                               "203.0.113.9",
                               "224.0.0.1",
                               "240.0.0.1",
                               "255.255.255.255",
                               "::",
                               "::1",
                               "::ffff:10.0.0.1",
                               "::ffff:169.254.169.254",
                               "::ffff:7f00:1",
                               "64:ff9b::a9fe:a9fe",
                               "2002:7f00:0001::",
                               "2002:a9fe:a9fe::1",
                               "fc00::1",
                               "fd12:3456::1",
                               "fe80::1",
                               "fec0::1",
                               "ff02::1",
                               "2001::1",
                               "2001:db8::1",
                               "100::1",
                               "::7f00:1",
                               "",
                               "localhost",
                               "1.2.3",
                               "2130706433"}) {
    EXPECT_FALSE(is_public_address(ip)) << ip;
  }
}

TEST(PublicAddress, TheInternetIsPublic) {
  for (const char* const ip :
       {"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1",
        "192.167.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "2606:2800::1", "2400:3200::1", "::ffff:1.1.1.1",
        "64:ff9b::101:101", "2002:101:101::"}) {
    EXPECT_TRUE(is_public_address(ip)) << ip;
  }
}

TEST(PublicAddress, LoopbackIsKnownInEveryForm) {
  for (const char* const ip : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback_address(ip)) << ip;
  }
  for (const char* const ip : {"128.0.0.1", "::2", "::ffff:10.0.0.1", "localhost"}) {
    EXPECT_FALSE(is_loopback_address(ip)) << ip;
  }
}

}  // namespace
}  // namespace dormouse::http
