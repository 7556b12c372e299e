// Goal: what a client can see of the server, byte by byte: framing, limits, deadlines, keep-alive, streaming, drain.
// Method: a real server on a Unix socket in its own thread, raw blocking sockets against it, no HTTP client in between.
#include "http/server.h"

#include <gtest/gtest.h>

#include "http/test_server.h"

namespace dormouse::http {
namespace {

using namespace std::chrono_literals;

TEST(Server, AnswersARequestAndKeepsTheConnection) {
  TestServer server;
  RawClient client(server.address());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    const RawAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "hello");
    EXPECT_TRUE(answer.head.find("date: ") != std::string::npos);
  }
}

}  // namespace
}  // namespace dormouse::http
