// Goal: what is signed is what others would sign. Method: RFC 4231's vectors, in base64.
#include "http/hmac.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace dormouse::http
