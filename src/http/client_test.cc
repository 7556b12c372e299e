// Goal: the client against the real server: pooling, stale connections, streams, cancel, deadlines; and the WebSocket
// from both ends. Method: TestServer in its thread, the client on a loop of the test's own, one coroutine a test.
#include "http/client.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "http/server_fixture_test.h"
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

// Sends, cancels after `after`, and reports how it ended.
Task<void> fetch_and_cancel(asio::io_context& io, Client& client, Address address, ClientRequest request,
                            std::chrono::milliseconds after, Result<std::string>& out) {
  request.canceller = std::make_shared<Canceller>();
  asio::steady_timer timer(io, after);
  timer.async_wait([canceller = request.canceller](const boost::system::error_code& ec) {
    if (!ec) canceller->cancel();
  });
  co_await fetch(client, address, std::move(request), out);
}

Task<void> drop_after_first_piece(Client& client, Address address, bool& got_piece) {
  auto response = co_await client.send(address, get("/flood"));
  if (!response) co_return;
  const auto piece = co_await (*response)->read_some();
  got_piece = piece.has_value() && piece->has_value();
}

Task<void> cancel_inside_read(asio::io_context& io, Client& client, Address address, Code& code) {
  auto response = co_await client.send(address, get("/flood"));
  if (!response) co_return;
  ClientResponse* borrowed = response->get();
  asio::post(io, [borrowed] { borrowed->cancel(); });
  for (;;) {
    const auto piece = co_await (*response)->read_some();
    if (piece) continue;
    code = piece.error().code;
    co_return;
  }
}

TEST(Client, SendsBodiesAndReadsThemWhole) {
  TestServer server({}, true);
  asio::io_context io;
  Client client(io);
  for (const std::size_t size : {0U, 1U, 100'000U, 4'000'000U}) {
    ClientRequest request = get("/echo");
    request.method = "POST";
    request.body.assign(size, 'b');
    Result<std::string> body;
    run(io, fetch(client, server.address(), std::move(request), body));
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(body->size(), size);
  }
}

TEST(Client, ADeadPooledConnectionIsReplacedOnceAndQuietly) {
  ServerLimits limits;
  limits.idle_keep_alive = 1s;
  TestServer server(limits);
  asio::io_context io;
  Client client(io);
  Result<std::string> body;
  run(io, fetch(client, server.address(), get("/hello"), body));
  ASSERT_TRUE(body);
  ASSERT_TRUE(TestServer::eventually([&] { return server.connections() == 0; }));
  run(io, fetch(client, server.address(), get("/hello"), body));
  EXPECT_TRUE(body);
}

// A gateway's workers come and go, each on a socket of its own.
TEST(Client, ConnectionsToServersThatHaveGoneDoNotPileUp) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  asio::io_context io;
  Client client(io);
  std::ptrdiff_t after_two = 0;
  for (int i = 0; i < 12; ++i) {
    {
      TestServer server;
      Result<std::string> body;
      run(io, fetch(client, server.address(), get("/hello"), body));
      ASSERT_TRUE(body) << body.error().message;
    }
    if (i == 1) after_two = open_files();
  }
  EXPECT_LE(open_files(), after_two);
}

TEST(Client, NobodyListeningIsUnavailableAndSoIsAStreamThatBreaks) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  Result<std::string> body;
  run(io, fetch(client, *Address::parse("unix:/nonexistent/socket"), get("/hello"), body));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::kUnavailable);
  run(io, fetch(client, server.address(), get("/abort"), body));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::kUnavailable);
}

TEST(Client, DeadlinesEndAWaitForTheHeader) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  ClientRequest request = get("/wait");
  request.header_deadline = 50ms;
  Result<std::string> body;
  run(io, fetch(client, server.address(), std::move(request), body));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::kDeadlineExceeded);
  EXPECT_TRUE(TestServer::eventually([&] { return server.gone == 1; }));
}

TEST(Client, CancelEndsItInEveryStageAndTheServerNotices) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  Result<std::string> body;
  run(io, fetch_and_cancel(io, client, server.address(), get("/wait"), 20ms, body));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::kCancelled);
  EXPECT_TRUE(TestServer::eventually([&] { return server.gone == 1; }));

  Code code = Code::kInternal;
  run(io, cancel_inside_read(io, client, server.address(), code));
  EXPECT_EQ(code, Code::kCancelled);
  EXPECT_TRUE(TestServer::eventually([&] { return server.flood_end == static_cast<int>(Code::kCancelled); }));
}

TEST(Client, AResponseDroppedBeforeItsEndClosesTheConnection) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  bool got_piece = false;
  run(io, drop_after_first_piece(client, server.address(), got_piece));
  EXPECT_TRUE(got_piece);
  EXPECT_TRUE(TestServer::eventually([&] { return server.connections() == 0; }));
}

TEST(Client, AnAnswerOverItsLimitIsTooLarge) {
  TestServer server;
  asio::io_context io;
  Client client(io);
  ClientRequest request = get("/flood");
  request.max_body_bytes = 1'000'000;
  Result<std::string> body;
  run(io, fetch(client, server.address(), std::move(request), body));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::kTooLarge);
}

TEST(Client, TwoHundredRequestsAtOnceAllEnd) {
  TestServer server({}, true);
  asio::io_context io;
  Client client(io);
  std::vector<Result<std::string>> bodies(200);
  for (Result<std::string>& body : bodies) {
    asio::co_spawn(io, fetch(client, server.address(), get("/stream"), body), asio::detached);
  }
  io.run();
  for (const Result<std::string>& body : bodies) EXPECT_TRUE(body && *body == "onetwothree");
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

Task<void> write_one(WebSocket& socket, std::string text, int& written) {
  const Status status = co_await socket.write(std::move(text));
  if (status) ++written;
}

Task<void> write_many(asio::io_context& io, Address address, std::vector<std::string>& got) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 2s);
  if (!socket) co_return;
  int written = 0;
  for (int i = 0; i < 50; ++i) {
    asio::co_spawn(io, write_one(**socket, std::to_string(i) + std::string(20'000, 'x'), written), asio::detached);
  }
  for (int i = 0; i < 50; ++i) {
    Result<std::string> message = co_await (*socket)->read();
    if (!message) co_return;
    got.push_back(message->substr(0, message->find('x')));
  }
  EXPECT_EQ(written, 50);
}

TEST(WebSocket, ConcurrentWritersAreHeardInOrder) {
  TestServer server;
  asio::io_context io;
  std::vector<std::string> got;
  run(io, write_many(io, server.address(), got));
  ASSERT_EQ(got.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], std::to_string(i));
}

Task<void> read_end(asio::io_context& io, Address address, std::string message, Code& code) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 2s);
  if (!socket) co_return;
  const Status sent = co_await (*socket)->write(std::move(message));
  if (!sent) co_return;
  const Result<std::string> got = co_await (*socket)->read();
  if (!got) code = got.error().code;
}

TEST(WebSocket, AClosedOneIsCancelledAndAMessageOverTheCapEndsIt) {
  TestServer server;
  asio::io_context io;
  Code code = Code::kInternal;
  run(io, read_end(io, server.address(), "bye", code));
  EXPECT_EQ(code, Code::kCancelled);
  code = Code::kInternal;
  run(io, read_end(io, server.address(), std::string((1U << 20) + 1, 'x'), code));
  EXPECT_TRUE(code == Code::kCancelled || code == Code::kUnavailable) << to_string(code);
  EXPECT_TRUE(TestServer::eventually([&] { return server.connections() == 0; }));
}

Task<void> try_connect(asio::io_context& io, Address address, std::string path, Error& error) {
  auto socket = co_await connect_websocket(io, address, std::move(path), {}, 2s);
  if (!socket) error = socket.error();
}

TEST(WebSocket, APathThatDoesNotUpgradeSaysItsStatus) {
  TestServer server;
  asio::io_context io;
  Error error;
  run(io, try_connect(io, server.address(), "/nowhere", error));
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_NE(error.message.find("404"), std::string::npos) << error.message;
}

Task<void> read_until_cut(asio::io_context& io, Address address, Code& code) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 2s);
  if (!socket) co_return;
  const Result<std::string> got = co_await (*socket)->read();
  if (!got) code = got.error().code;
}

TEST(WebSocket, DrainCutsOneThatStaysOpenAndTheOtherEndNotices) {
  TestServer server;
  asio::io_context io;
  Code code = Code::kInternal;
  std::thread drainer([&] {
    EXPECT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
    server.drain(50ms);
  });
  run(io, read_until_cut(io, server.address(), code));
  drainer.join();
  EXPECT_TRUE(code == Code::kUnavailable || code == Code::kCancelled) << to_string(code);
  EXPECT_EQ(server.connections(), 0U);
}

TEST(WebSocket, ARequestThatIsNoWebSocketIsAnsweredByTheHandler) {
  TestServer server;
  RawClient client(server.address());
  client.send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 400);
}

}  // namespace
}  // namespace dormouse::http
