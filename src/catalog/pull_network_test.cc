// Goal: a pull goes nowhere but where it may (T-69: decimal addresses, IPv6 clothes, users in addresses, redirects'
// targets), and through the proxy that was set. Method: tables.
#include "catalog/pull_network.h"

#include <gtest/gtest.h>

#include <map>

namespace dormouse::catalog {
namespace {

http::Url url(std::string_view text) {
  return http::Url::parse(text).value();
}

TEST(AllowedHosts, TheHubsAndTheirContentNetworksOverHttps) {
  const AllowedHosts hosts;
  for (const char* const text :
       {"https://huggingface.co/Qwen/x", "https://cdn-lfs.huggingface.co/x", "https://cas-bridge.xethub.hf.co/x",
        "https://us.aws.cdn.hf.co/x", "https://www.modelscope.cn/x", "https://cdn-lfs-cn-1.modelscope.cn/x"}) {
    EXPECT_TRUE(hosts.check(url(text)).has_value()) << text;
  }
  for (const char* const text :
       {"https://evil.example/x", "https://huggingface.co.evil.example/x", "https://evilhuggingface.co/x",
        "https://xhf.co/x", "http://huggingface.co/x", "https://huggingface.co:8443/x", "https://169.254.169.254/x",
        "https://[::ffff:169.254.169.254]/x", "https://127.0.0.1/x", "https://localhost/x"}) {
    const Status status = hosts.check(url(text));
    ASSERT_FALSE(status.has_value()) << text;
    EXPECT_EQ(status.error().code, Code::kPermissionDenied) << text;
  }
  EXPECT_NE(hosts.check(url("https://evil.example/x")).error().message.find("--allow-host evil.example"),
            std::string::npos);
}

TEST(AllowedHosts, WhatANameTurnsOutToBeIsLookedAt) {
  const AllowedHosts hosts;
  const http::AddressCheck admit = hosts.admit(url("https://huggingface.co/x"));
  EXPECT_TRUE(admit("18.164.174.23").has_value());
  EXPECT_TRUE(admit("2600:9000::1").has_value());
  for (const char* const ip : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1",
                               "64:ff9b::a9fe:a9fe", "0.0.0.0"}) {
    const Status status = admit(ip);
    ASSERT_FALSE(status.has_value()) << ip;
    EXPECT_EQ(status.error().code, Code::kPermissionDenied);
  }
}

TEST(AllowedHosts, ANamedHostMayBePrivateButPlainOnlyOnThisMachine) {
  const AllowedHosts hosts = AllowedHosts::make({"mirror.lan", "localhost:8099"}).value();
  EXPECT_TRUE(hosts.check(url("https://mirror.lan:444/x")).has_value());
  EXPECT_TRUE(hosts.admit(url("https://mirror.lan/x"))("10.0.0.5").has_value());
  EXPECT_FALSE(hosts.admit(url("http://mirror.lan/x"))("10.0.0.5").has_value()) << "http to another machine";
  EXPECT_TRUE(hosts.admit(url("http://localhost:8099/x"))("127.0.0.1").has_value());
  EXPECT_FALSE(hosts.check(url("http://localhost:8100/x")).has_value()) << "another port was not named";
  EXPECT_FALSE(hosts.check(url("https://sub.mirror.lan/x")).has_value()) << "what is below was not named";
  for (const char* const wrong : {"", "a b", "user@host", "2130706433", "ftp://host"}) {
    EXPECT_FALSE(AllowedHosts::make({wrong}).has_value()) << wrong;
  }
}

Result<Proxies> read(const std::map<std::string, std::string>& environment) {
  return Proxies::read([&environment](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
}

std::string proxy_of(const Proxies& proxies, std::string_view text) {
  const auto proxy = proxies.of(url(text));
  return proxy.has_value() ? proxy->address.to_string() : "straight";
}

TEST(Proxies, AreReadAsCurlReadsThem) {
  const Proxies proxies = read({{"HTTPS_PROXY", "http://proxy.corp:3128/"},
                                {"HTTP_PROXY", "http://other:1"},
                                {"NO_PROXY", "modelscope.cn, .lan,10.0.0.9"}})
                              .value();
  EXPECT_EQ(proxy_of(proxies, "https://huggingface.co/x"), "proxy.corp:3128");
  EXPECT_EQ(proxy_of(proxies, "http://localhost:80/x"), "straight");
  EXPECT_EQ(proxy_of(proxies, "https://www.modelscope.cn/x"), "straight");
  EXPECT_EQ(proxy_of(proxies, "https://notmodelscope.cn/x"), "proxy.corp:3128");
  EXPECT_EQ(proxy_of(proxies, "https://mirror.lan/x"), "straight");
  EXPECT_EQ(proxy_of(proxies, "https://10.0.0.9/x"), "straight");
  EXPECT_EQ(proxy_of(proxies, "https://localhost/x"), "straight");
  EXPECT_EQ(proxy_of(proxies, "https://[::1]/x"), "straight");
  EXPECT_EQ(proxy_of(read({{"all_proxy", "http://a:1"}, {"no_proxy", "*"}}).value(), "https://hf.co/x"), "straight");
  EXPECT_EQ(proxy_of(read({{"all_proxy", "127.0.0.1:8888"}}).value(), "https://hf.co/x"), "127.0.0.1:8888");
  EXPECT_EQ(proxy_of(read({}).value(), "https://hf.co/x"), "straight");
}

TEST(Proxies, ACredentialGoesIntoItsFieldAndIntoNoMessage) {
  const Proxies proxies = read({{"https_proxy", "http://me:p%40ss@proxy:3128"}}).value();
  EXPECT_EQ(proxies.of(url("https://hf.co/x"))->authorization, "Basic bWU6cEBzcw==");
  for (const char* const wrong : {"socks5://me:secret@proxy:1", "http://me:secret@:1", "http://me:secret@a b:1"}) {
    const Result<Proxies> refused = read({{"https_proxy", wrong}});
    ASSERT_FALSE(refused.has_value()) << wrong;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find("secret"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("https_proxy"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace dormouse::catalog
