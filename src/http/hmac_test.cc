// Goal: what is signed is what others would sign. Method: RFC 4231's vectors, in base64.
#include "http/hmac.h"

#include <gtest/gtest.h>

#include "http/sha256.h"

namespace dormouse::http {
namespace {

TEST(Hmac, AsRfc4231HasIt) {
  EXPECT_EQ(hmac_sha256_base64(std::string(20, '\x0b'), "Hi There"), "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=");
  EXPECT_EQ(hmac_sha256_base64("Jefe", "what do ya want for nothing?"), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
  // 131 bytes: longer than a block, so the key is hashed first.
  EXPECT_EQ(hmac_sha256_base64(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
            "YOQxWR7gtn8Niiaqy/W3f44LxiE3KMUUBUYEDw7jf1Q=");
  EXPECT_EQ(hmac_sha256_base64("", ""), "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=");
}

TEST(PercentEncode, AllButTheUnreserved) {
  EXPECT_EQ(percent_encode("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(percent_encode("a+b/c= d"), "a%2Bb%2Fc%3D%20d");
  EXPECT_EQ(percent_encode("睡\xff"), "%E7%9D%A1%FF");
}

TEST(PercentDecode, WhatIsNoEscapeStays) {
  EXPECT_EQ(percent_decode("a%2Bb%3d%20d"), "a+b= d");
  EXPECT_EQ(percent_decode("100%"), "100%");
  EXPECT_EQ(percent_decode("%zz%2"), "%zz%2");
  EXPECT_EQ(percent_decode(percent_encode("睡:\xff")), "睡:\xff");
}

TEST(Base64, AsRfc4648HasIt) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

// FIPS 180-2's examples, in one piece and in many.
TEST(Sha256, AsFipsHasIt) {
  Sha256 abc;
  abc.update("abc", 3);
  EXPECT_EQ(abc.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  for (int i = 0; i < 1'000'000; ++i) pieces.update("a", 1);
  EXPECT_EQ(pieces.finish(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace dormouse::http
