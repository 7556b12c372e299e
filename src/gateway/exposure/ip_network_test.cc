// Goal: one address has one spelling, a network holds what its prefix says and nothing else, and what is no address is
// refused. Method: tables.
#include "gateway/exposure/ip_network.h"

#include <gtest/gtest.h>

#include "gateway/exposure/interfaces.h"

namespace dormouse::gateway {
namespace {

TEST(IpAddress, OneSpellingForEach) {
  struct Row {
    const char* text;
    const char* canonical;  // "": no address
  };
  for (const Row& row : {Row{"127.0.0.1", "127.0.0.1"},
                         Row{"255.255.255.255", "255.255.255.255"},
                         Row{"::1", "::1"},
                         Row{"0:0:0:0:0:0:0:1", "::1"},
                         Row{"2001:DB8::A", "2001:db8::a"},
                         Row{"::ffff:10.1.2.3", "10.1.2.3"},
                         Row{"::ffff:0a01:0203", "10.1.2.3"},
                         Row{"::10.1.2.3", "::10.1.2.3"},
                         Row{"", ""},
                         Row{"127.0.0", ""},
                         Row{"127.0.0.1.", ""},
                         Row{"127.0.0.256", ""},
                         Row{"127.0.0.01", ""},
                         Row{" 127.0.0.1", ""},
                         Row{"0x7f.0.0.1", ""},
                         Row{"2130706433", ""},
                         Row{"[::1]", ""},
                         Row{":::", ""},
                         Row{"1::2::3", ""},
                         Row{"fe80::1%eth0", ""},
                         Row{"12345::", ""},
                         Row{"localhost", ""},
                         Row{"1111:2222:3333:4444:5555:6666:7777:8888:9999", ""}}) {
    const std::optional<IpAddress> address = IpAddress::parse(row.text);
    EXPECT_EQ(address.has_value() ? address->to_string() : "", row.canonical) << row.text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)).has_value());
}

TEST(IpAddress, APortIsTakenOffWhereThereCanBeOne) {
  struct Row {
    const char* text;
    const char* address;  // "": none
  };
  for (const Row& row : {Row{"10.0.0.1:5312", "10.0.0.1"}, Row{"10.0.0.1", "10.0.0.1"}, Row{"[::1]:80", "::1"},
                         Row{"[::1]", "::1"}, Row{"::1", "::1"}, Row{"[::ffff:1.2.3.4]:9", "1.2.3.4"},
                         // Another address, and not one with a port.
                         Row{"2001:db8::1:80", "2001:db8::1:80"}, Row{"10.0.0.1:", ""}, Row{"10.0.0.1:x", ""},
                         Row{"10.0.0.1:99999", ""}, Row{"[10.0.0.1]:80", ""}, Row{"[::1", ""}, Row{"[]:80", ""},
                         Row{"unix", ""}, Row{"unknown", ""}, Row{":80", ""}, Row{"[::1]80", ""}, Row{"", ""}}) {
    const std::optional<IpAddress> address = IpAddress::parse_with_port(row.text);
    EXPECT_EQ(address.has_value() ? address->to_string() : "", row.address) << row.text;
  }
}

TEST(IpAddress, WhoseItIs) {
  struct Row {
    const char* text;
    char kind;  // l loopback, u unspecified, p private, o open
  };
  for (const Row& row : {Row{"127.0.0.1", 'l'},
                         Row{"127.255.0.9", 'l'},
                         Row{"::1", 'l'},
                         Row{"0.0.0.0", 'u'},
                         Row{"::", 'u'},
                         Row{"10.0.0.0", 'p'},
                         Row{"10.255.255.255", 'p'},
                         Row{"172.16.0.1", 'p'},
                         Row{"172.31.255.255", 'p'},
                         Row{"192.168.1.1", 'p'},
                         Row{"169.254.9.9", 'p'},
                         Row{"fc00::1", 'p'},
                         Row{"fdff::1", 'p'},
                         Row{"fe80::1", 'p'},
                         Row{"febf::1", 'p'},
                         Row{"9.255.255.255", 'o'},
                         Row{"11.0.0.0", 'o'},
                         Row{"172.15.255.255", 'o'},
                         Row{"172.32.0.0", 'o'},
                         Row{"192.169.0.0", 'o'},
                         Row{"169.253.0.1", 'o'},
                         Row{"126.0.0.1", 'o'},
                         Row{"128.0.0.1", 'o'},
                         Row{"fec0::1", 'o'},
                         Row{"fb00::1", 'o'},
                         Row{"2001:db8::1", 'o'},
                         Row{"::2", 'o'},
                         Row{"8.8.8.8", 'o'},
                         Row{"::ffff:10.0.0.1", 'p'},
                         Row{"::ffff:127.0.0.1", 'l'}}) {
    const IpAddress address = IpAddress::parse(row.text).value();
    EXPECT_EQ(address.is_loopback(), row.kind == 'l') << row.text;
    EXPECT_EQ(address.is_unspecified(), row.kind == 'u') << row.text;
    EXPECT_EQ(address.is_private(), row.kind == 'p') << row.text;
  }
}

TEST(IpNetwork, HoldsWhatItsPrefixSays) {
  struct Row {
    const char* network;
    const char* inside;
    const char* outside;
  };
  for (const Row& row :
       {Row{"10.0.0.0/8", "10.255.0.1", "11.0.0.0"}, Row{"10.0.0.0/9", "10.127.255.255", "10.128.0.0"},
        Row{"192.168.1.7", "192.168.1.7", "192.168.1.8"}, Row{"192.168.1.6/31", "192.168.1.7", "192.168.1.8"},
        Row{"128.0.0.0/1", "255.0.0.0", "127.0.0.1"}, Row{"fd00::/8", "fdff::1", "fc00::1"}, Row{"::1", "::1", "::2"},
        Row{"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"}, Row{"10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"},
        Row{"::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"},
        // An IPv6 network has no IPv4 address, however short its prefix.
        Row{"8000::/1", "ffff::", "200.0.0.1"}, Row{"::/8", "::1", "1.2.3.4"}}) {
    const Result<IpNetwork> network = IpNetwork::parse(row.network);
    ASSERT_TRUE(network.has_value()) << row.network << network.error().message;
    EXPECT_TRUE(network->contains(IpAddress::parse(row.inside).value())) << row.network << " " << row.inside;
    EXPECT_FALSE(network->contains(IpAddress::parse(row.outside).value())) << row.network << " " << row.outside;
  }
}

TEST(IpNetwork, WhatIsNoneOrEverybodyIsRefused) {
  for (const char* bad : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8",
                          "10.1.2.3/8", "0.0.0.0/0", "::/0", "::1/129", "localhost/8", "10.0.0.0/ 8", "10.0.0.0 /8",
                          "::ffff:10.0.0.0/8", "::ffff:0.0.0.0/96", "fd00::1/8", "10.0.0.0/4294967304"}) {
    const Result<IpNetwork> network = IpNetwork::parse(bad);
    ASSERT_FALSE(network.has_value()) << bad;
    EXPECT_EQ(network.error().code, Code::kInvalidArgument) << bad;
  }
}

TEST(Interfaces, LoopbackIsOne) {
  bool found = false;
  for (const IpAddress& address : interface_addresses()) found = found || address.is_loopback();
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace dormouse::gateway
