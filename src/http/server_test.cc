// Goal: what a client can see of the server, byte by byte: framing, limits, deadlines, keep-alive, streaming, drain.
// Method: a real server on a Unix socket in its own thread, raw blocking sockets against it, no HTTP client in between.
#include "http/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "http/server_fixture_test.h"

namespace dormouse::http {
namespace {

using namespace std::chrono_literals;

std::string get(std::string_view target, std::string_view extra = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(extra) + "\r\n";
}

std::string post(std::string_view body, std::string_view extra = "") {
  return "POST /echo HTTP/1.1\r\nHost: x\r\n" + std::string(extra) + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

TEST(Server, AnswersSeveralRequestsOnOneConnection) {
  for (const bool tcp : {false, true}) {
    TestServer server({}, tcp);
    RawClient client(server.address());
    for (int i = 0; i < 3; ++i) {
      client.send(get("/hello"));
      const RawAnswer answer = client.read_answer();
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.body, "hello");
      EXPECT_NE(answer.head.find("\r\ndate: "), std::string::npos);
      EXPECT_EQ(answer.head.find("connection: close"), std::string::npos);
    }
    EXPECT_EQ(server.connections(), 1U);
  }
}

TEST(Server, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  RawClient client(server.address());
  std::string bytes;
  for (int i = 0; i < 50; ++i) bytes += get("/path" + std::to_string(i));
  bytes += post("body") + get("/hello", "Connection: close\r\n");
  client.send(bytes);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.read_answer().body, "/path" + std::to_string(i) + "?");
  EXPECT_EQ(client.read_answer().body, "body");
  const auto rest = client.read_to_end();
  ASSERT_TRUE(rest);
  EXPECT_EQ(count_answers(*rest), 1);
}

TEST(Server, PipelinedRequestsArrivingWhileAHandlerRunsAreKept) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/sleep"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
  client.send(get("/hello") + get("/path"));
  EXPECT_EQ(client.read_answer().body, "slept");
  EXPECT_EQ(client.read_answer().body, "hello");
  EXPECT_EQ(client.read_answer().body, "/path?");
}

TEST(Server, ARequestByteByByteIsTheSameRequest) {
  TestServer server;
  RawClient client(server.address());
  for (const char c : post("hello")) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_EQ(client.read_answer().body, "hello");
}

TEST(Server, ChunkedBodiesAreReadAndOneEmptyLineBeforeARequestIsAllowed) {
  TestServer server;
  RawClient client(server.address());
  client.send(
      "\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
      "v\r\n\r\n");
  EXPECT_EQ(client.read_answer().body, "abcde");
  client.send("\r\n" + get("/hello"));
  EXPECT_EQ(client.read_answer().body, "hello");
}

TEST(Server, HeadGetsTheHeaderOfGetAndNoBody) {
  TestServer server;
  RawClient client(server.address());
  client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto all = client.read_to_end();
  ASSERT_TRUE(all);
  EXPECT_EQ(count_answers(*all), 2);
  EXPECT_NE(all->find("content-length: 5\r\n"), std::string::npos);
  EXPECT_EQ(all->find("hello"), std::string::npos);
  EXPECT_EQ(all->find("one"), std::string::npos);
}

TEST(Server, HttpOneZeroIsAnsweredUnchunkedAndClosed) {
  TestServer server;
  RawClient client(server.address());
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  const auto all = client.read_to_end();
  ASSERT_TRUE(all);
  EXPECT_NE(all->find("\r\n\r\nonetwothree"), std::string::npos);
  EXPECT_EQ(all->find("chunked"), std::string::npos);
}

TEST(Server, ExpectContinueIsToldToGoOnAndNotWhenTheBodyWouldBeTooLarge) {
  TestServer server;
  RawClient client(server.address());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("abc");
  EXPECT_EQ(client.read_answer().body, "abc");
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99000000\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 413);
}

TEST(Server, PathsReachTheHandlerNormalisedOnce) {
  TestServer server;
  RawClient client(server.address());
  for (const auto& [target, want] :
       std::vector<std::pair<std::string, std::string>>{{"/path//a/../b?q=%20", "/path/b?q=%20"},
                                                        {"/x/../path%20c", "/path c?"},
                                                        {"/path%2F..%2Fx", "/path%2F..%2Fx?"}}) {
    client.send(get(target));
    EXPECT_EQ(client.read_answer().body, want);
  }
}

TEST(Server, ABodyOverTheLimitIsRefusedWhileItComes) {
  ServerLimits limits;
  limits.body_bytes = 1000;
  TestServer server(limits);
  RawClient exact(server.address());
  exact.send(post(std::string(1000, 'a')));
  EXPECT_EQ(exact.read_answer().body.size(), 1000U);
  RawClient over(server.address());
  over.send(post(std::string(1001, 'a')));
  EXPECT_EQ(over.read_answer().status, 413);
  RawClient chunked(server.address());
  std::string bytes = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 101; ++i) bytes += "a\r\n0123456789\r\n";
  chunked.send(bytes);
  EXPECT_EQ(chunked.read_answer().status, 413);
  EXPECT_EQ(server.handled, 1);
}

TEST(Server, TheAnswerSurvivesAClientThatIsStillSending) {
  ServerLimits limits;
  limits.body_bytes = 1000;
  TestServer server(limits, true);
  RawClient client(server.address());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
  client.send(std::string(4'000'000, 'a'));
  EXPECT_EQ(client.read_answer().status, 413);
}

TEST(Server, SlowHeadersAndBodiesGet408ByAnAbsoluteDeadline) {
  ServerLimits limits;
  limits.header_deadline = 1s;
  limits.body_patience = 1s;
  TestServer server(limits);
  RawClient slow(server.address());
  RawClient body(server.address());
  RawClient silent(server.address());
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
  // A byte every 50 ms would keep a deadline that starts anew for ever; an absolute one is over after 20 of them.
  const std::string endless = "GET / HTTP/1.1\r\nA: " + std::string(80, 'a');
  const auto begin = std::chrono::steady_clock::now();
  for (const char c : endless) {
    if (!slow.send(std::string_view(&c, 1))) break;
    std::this_thread::sleep_for(25ms);
    if (std::chrono::steady_clock::now() - begin > 1500ms) break;
  }
  EXPECT_EQ(slow.read_answer().status, 408);
  EXPECT_EQ(body.read_answer().status, 408);
  EXPECT_EQ(silent.read_to_end(), "");  // nothing was asked, nothing is answered
  EXPECT_EQ(server.handled, 0);
}

// Twice as long as the patience, at the pace and at a third of it.
TEST(Server, ABodyMayTakeLongAsLongAsItKeepsItsPace) {
  ServerLimits limits;
  limits.body_patience = 1s;
  limits.body_pace_bytes = 100;
  TestServer server(limits);
  RawClient steady(server.address());
  RawClient slow(server.address());
  for (RawClient* client : {&steady, &slow}) {
    client->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 800\r\n\r\n");
  }
  for (int piece = 0; piece < 8; ++piece) {
    std::this_thread::sleep_for(250ms);
    steady.send(std::string(100, 'a'));
    if (!slow.send(std::string(8, 'a'))) break;
  }
  EXPECT_EQ(steady.read_answer().body, std::string(800, 'a'));
  EXPECT_EQ(slow.read_answer().status, 408);
}

TEST(Server, LargeBodiesAreRefusedWhileTooMuchIsArrivingAndSmallOnesAreNot) {
  ServerLimits limits;
  limits.arriving_bytes = 300'000;
  TestServer server(limits, true);
  auto first = std::make_unique<RawClient>(server.address());
  first->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + std::string(250'000, 'a'));
  RawClient second(server.address());
  second.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + std::string(150'000, 'a'));
  EXPECT_EQ(second.read_answer().status, 503);
  RawClient small(server.address());
  small.send(post(std::string(60'000, 'a')));
  EXPECT_EQ(small.read_answer().status, 200);
  first->send(std::string(50'000, 'a'));
  EXPECT_EQ(first->read_answer().status, 200);
  // What was counted is given back, by the one that was answered and by the one that was refused.
  RawClient third(server.address());
  third.send(post(std::string(300'000, 'a')));
  EXPECT_EQ(third.read_answer().status, 200);
}

TEST(Server, AConnectionEndsAfterItsLastRequest) {
  ServerLimits limits;
  limits.requests_per_connection = 3;
  TestServer server(limits);
  RawClient client(server.address());
  for (int request = 1; request <= 3; ++request) {
    client.send(get("/hello"));
    const RawAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.head.find("connection: close") != std::string::npos, request == 3) << request;
  }
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(Server, AnIdleConnectionIsClosedSilently) {
  ServerLimits limits;
  limits.idle_keep_alive = 1s;
  TestServer server(limits);
  RawClient client(server.address());
  client.send(get("/hello"));
  EXPECT_EQ(client.read_answer().status, 200);
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(Server, StreamsArriveChunkedAndTheConnectionGoesOn) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/stream") + get("/hello"));
  const RawAnswer stream = client.read_answer();
  EXPECT_TRUE(stream.complete);
  EXPECT_EQ(stream.body, "onetwothree");
  EXPECT_EQ(client.read_answer().body, "hello");
}

TEST(Server, AnAbortedStreamHasNoClosingChunk) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/abort"));
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "one");
  EXPECT_FALSE(answer.complete);
}

TEST(Server, AHandlerThatThrowsOrForgetsToAnswerIsA500) {
  TestServer server;
  for (const char* path : {"/throw", "/silent"}) {
    RawClient client(server.address());
    client.send(get(path));
    const RawAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, 500);
    EXPECT_NE(answer.body.find("internal_error"), std::string::npos);
    EXPECT_EQ(client.read_to_end(), "");
  }
}

TEST(Server, AClientThatGoesIsNoticedWhileTheHandlerWaits) {
  for (const bool tcp : {false, true}) {
    TestServer server({}, tcp);
    for (int i = 0; i < 20; ++i) {
      RawClient client(server.address());
      client.send(get("/wait"));
      ASSERT_TRUE(TestServer::eventually([&] { return server.handled == i + 1; }));
      client.close();
      ASSERT_TRUE(TestServer::eventually([&] { return server.gone == i + 1; }));
    }
    EXPECT_TRUE(TestServer::eventually([&] { return server.connections() == 0; }));
  }
}

TEST(Server, PipelinedBytesAreNotTheEndOfTheClient) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/wait"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
  client.send(get("/hello"));
  std::this_thread::sleep_for(50ms);  // for a wrong notice to happen; there is no event for "nothing happened"
  EXPECT_EQ(server.gone, 0);
  client.close();
  EXPECT_TRUE(TestServer::eventually([&] { return server.gone == 1; }));
}

TEST(Server, AReaderThatTakesNothingIsDroppedAndOthersAreServed) {
  ServerLimits limits;
  limits.write_deadline = 1s;
  TestServer server(limits, true);
  RawClient stalled(server.address(), 4096);
  stalled.send(get("/flood"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
  RawClient other(server.address());
  for (int i = 0; i < 10; ++i) {
    other.send(get("/hello"));
    EXPECT_EQ(other.read_answer().status, 200);
  }
  EXPECT_TRUE(TestServer::eventually([&] { return server.flood_end == static_cast<int>(Code::kDeadlineExceeded); }));
  EXPECT_TRUE(TestServer::eventually([&] { return server.connections() == 1; }));
}

TEST(Server, AStreamToAClientThatLeavesEndsWithCancelled) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/flood"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
  client.close();
  EXPECT_TRUE(TestServer::eventually([&] { return server.flood_end == static_cast<int>(Code::kCancelled); }));
}

TEST(Server, TwoHundredConnectionsAtOnceAreAllServed) {
  TestServer server({}, true);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<RawClient>(server.address()));
  for (int round = 0; round < 3; ++round) {
    for (const auto& client : clients) client->send(get("/sleep"));
    for (const auto& client : clients) EXPECT_EQ(client->read_answer().body, "slept");
  }
  EXPECT_EQ(server.connections(), 200U);
}

TEST(Server, AtItsConnectionLimitItPausesWhileAllAreAtWork) {
  ServerLimits limits;
  limits.connections = 2;
  TestServer server(limits);
  RawClient first(server.address());
  auto second = std::make_unique<RawClient>(server.address());
  first.send(get("/wait"));
  second->send(get("/wait"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 2; }));
  RawClient third(server.address());
  third.send(get("/hello"));
  EXPECT_EQ(server.connections(), 2U);
  second.reset();
  EXPECT_EQ(third.read_answer().status, 200);
}

TEST(Server, AtItsConnectionLimitTheIdleMakeRoomThenThoseWhoseRequestHasNotArrived) {
  ServerLimits limits;
  limits.connections = 3;
  TestServer server(limits);
  RawClient busy(server.address());
  busy.send(get("/wait"));
  RawClient half(server.address());
  half.send("GET /hello HTTP/1.1\r\n");
  RawClient idle(server.address());
  idle.send(get("/hello"));
  EXPECT_EQ(idle.read_answer().status, 200);
  RawClient fourth(server.address());
  fourth.send(get("/wait"));
  EXPECT_EQ(idle.read_to_end(), "");
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 3; }));
  RawClient fifth(server.address());
  fifth.send(get("/hello"));
  EXPECT_EQ(half.read_to_end(), "");
  EXPECT_EQ(fifth.read_answer().status, 200);
  EXPECT_EQ(server.gone, 0) << "those at work are left alone";
}

TEST(Server, AtItsConnectionLimitNobodyIsCutForNobody) {
  ServerLimits limits;
  limits.connections = 1;
  TestServer server(limits);
  RawClient only(server.address());
  for (int i = 0; i < 20; ++i) {
    only.send(get("/hello"));
    ASSERT_EQ(only.read_answer().status, 200) << i;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(Server, OutOfDescriptorsItPausesAndRecovers) {
  TestServer server;
  RawClient client(server.address());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<UniqueFd> hoard;
  RawClient waiting(server.address());
  waiting.send(get("/hello"));
  EXPECT_EQ(waiting.read_answer().status, 200);
  // One more than are open now: the client's own socket takes it, the server's accept finds none.
  rlimit tight = before;
  const int probe = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(probe);
  tight.rlim_cur = static_cast<rlim_t>(probe) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  RawClient late(server.address());
  const bool sent = late.send(get("/hello"));
  std::this_thread::sleep_for(50ms);  // the server meets EMFILE in this time
  EXPECT_EQ(server.handled, 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(sent);
  EXPECT_EQ(late.read_answer().status, 200);
}

TEST(Server, DrainLetsARequestEndAndThenTheConnection) {
  TestServer server;
  RawClient idle(server.address());
  idle.send(get("/hello"));
  EXPECT_EQ(idle.read_answer().status, 200);
  RawClient busy(server.address());
  busy.send(get("/sleep"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 2; }));
  server.drain(5s);
  EXPECT_EQ(server.connections(), 0U);
  const RawAnswer answer = busy.read_answer();
  EXPECT_EQ(answer.body, "slept");
  EXPECT_NE(answer.head.find("connection: close"), std::string::npos);
  EXPECT_EQ(idle.read_to_end(), "");
  RawClient late(server.address());
  EXPECT_FALSE(late.send(get("/hello")));
}

TEST(Server, DrainCutsWhatDoesNotEndInTime) {
  TestServer server;
  RawClient client(server.address());
  client.send(get("/wait"));
  ASSERT_TRUE(TestServer::eventually([&] { return server.handled == 1; }));
  server.drain(50ms);
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_EQ(server.gone, 1);
}

TEST(Server, AUnixSocketIsPrivateAndAStaleOneIsReplaced) {
  TestServer server;
  struct stat info {};
  ASSERT_EQ(::stat(server.address().path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);

  asio::io_context io;
  Server other(io, {}, nullptr, nullptr);
  const auto in_use = other.listen(server.address(), "x");
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().code, Code::kAlreadyExists);

  // A file left by a process that died: bound, never unlinked, nobody listening.
  const std::string path = server.address().path + "2";
  {
    Server dead(io, {}, nullptr, nullptr);
    ASSERT_TRUE(dead.listen(*Address::parse("unix:" + path), "x"));
    ASSERT_EQ(::link(path.c_str(), (path + "3").c_str()), 0);
  }
  const auto replaced = other.listen(*Address::parse("unix:" + path + "3"), "x");
  EXPECT_TRUE(replaced) << replaced.error().message;

  const std::string file = path + "4";
  ::close(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(other.listen(*Address::parse("unix:" + file), "x").error().code, Code::kAlreadyExists);
  ::unlink(file.c_str());
}

}  // namespace
}  // namespace dormouse::http
