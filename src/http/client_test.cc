// Goal: the client against the real server: pooling, stale connections, streams, cancel, deadlines; and the WebSocket
// from both ends. Method: TestServer in its thread, the client on a loop of the test's own, one coroutine a test.
#include "http/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>

#include "http/test_server.h"
#include "http/websocket.h"

namespace dormouse::http {
namespace {

using namespace std::chrono_literals;

// Runs one coroutine to its end; an exception fails the test.
void run(asio::io_context& io, Task<void> task) {
  asio::co_spawn(io, std::move(task), [](std::exception_ptr failure) { EXPECT_FALSE(failure); });
  io.restart();
  io.run();
}

ClientRequest get(std::string target) {
  ClientRequest request;
  request.target = std::move(target);
  return request;
}

Task<void> fetch(Client& client, Address address, ClientRequest request, Result<std::string>& out) {
  auto response = co_await client.send(address, std::move(request));
  if (!response) {
    out = response.error();
    co_return;
  }
  out = co_await (*response)->read_all();
}

TEST(Client, ReusesAConnectionForTheNextRequest) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  for (int i = 0; i < 3; ++i) {
    Result<std::string> body;
    run(io, fetch(client, server.address(), get("/hello"), body));
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(*body, "hello");
    EXPECT_EQ(server.connections(), 1U);
  }
}

TEST(Client, ReadsAChunkedStreamPieceByPiece) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  Result<std::string> body;
  run(io, fetch(client, server.address(), get("/stream"), body));
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(*body, "onetwothree");
}

Task<void> echo_three(asio::io_context& io, Address address, int& echoed) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 2s);
  EXPECT_TRUE(socket.has_value()) << socket.error().message;
  if (!socket) co_return;
  for (const char* text : {"a", "睡鼠", ""}) {
    std::string message = text;
    const Status sent = co_await (*socket)->write(std::move(message));
    EXPECT_TRUE(sent.has_value());
    const Result<std::string> got = co_await (*socket)->read();
    EXPECT_TRUE(got.has_value() && *got == text);
    ++echoed;
  }
}

TEST(WebSocket, EchoesTextsBothWays) {
  TestServer server;
  asio::io_context io;
  int echoed = 0;
  run(io, echo_three(io, server.address(), echoed));
  EXPECT_EQ(echoed, 3);
  EXPECT_TRUE(TestServer::eventually([&] { return server.connections() == 0; }));
}

}  // namespace
}  // namespace dormouse::http
