// Goal: whatever bytes a server answers with, the caller gets an answer or a typed error, and the next caller is
// served. Method: the relay in front of a listener that answers with scripted bytes.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>

#include "api/generation.h"
#include "base/check.h"
#include "base/unique_fd.h"
#include "worker/adopt/adopt_fixture_test.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::string_view kEvents = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

// Answers every connection's first request with the same bytes.
class ScriptedUpstream {
 public:
  enum class End {
    kClose,  // after the bytes
    kHold,   // waits until the other side closes
    kFlood   // goes on with the bytes until the other side closes
  };
  // `head` comes once, before the bytes.
  ScriptedUpstream(std::string bytes, End end, std::string head = {})
      : head_(std::move(head)), bytes_(std::move(bytes)), end_(end) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
    CHECK(::listen(listener_.get(), 8) == 0);
    CHECK(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    address_ = {.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = ntohs(at.sin_port)};
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedUpstream() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  [[nodiscard]] const http::Address& address() const { return address_; }
  std::atomic<int> requests{0};
  std::atomic<int> closed_by_peer{0};
  std::atomic<std::size_t> sent_bytes{0};

 private:
  void serve() {
    while (true) {
      const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.is_open()) return;
      char request[65536];
      if (::recv(peer.get(), request, sizeof request, 0) <= 0) continue;
      requests += 1;
      bool open = send_all(peer.get(), head_) && send_all(peer.get(), bytes_);
      while (open && end_ == End::kFlood) open = send_all(peer.get(), bytes_);
      if (end_ == End::kClose) continue;
      pollfd p{peer.get(), POLLIN, 0};
      if (open) open = ::poll(&p, 1, 10'000) != 1;
      if (!open) closed_by_peer += 1;
    }
  }
  bool send_all(int fd, std::string_view rest) {
    while (!rest.empty()) {
      const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      sent_bytes += static_cast<std::size_t>(sent);
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  const std::string head_;
  const std::string bytes_;
  const End end_;
  UniqueFd listener_;
  http::Address address_;
  std::thread thread_;
};

class RelayHarness {
 public:
  explicit RelayHarness(const http::Address& upstream) : front_(io_), directory_(make_directory()) {
    front_.upstream = upstream;
    front_.names = {.served = "ours", .upstream = "theirs"};
    front_.state = FrontState::kReady;
    server_ = std::make_unique<http::Server>(
        io_, http::ServerLimits{}, [this](http::Exchange& exchange) { return handle(front_, exchange); },
        [](int, std::string_view) { return std::string("{}"); });
    const http::Address address{.kind = http::Address::Kind::kUnix, .path = directory_ + "/s", .host = {}, .port = 0};
    address_ = *server_->listen(address, "data");
    thread_ = std::thread([this] {
      const auto guard = asio::make_work_guard(io_);
      io_.run();
    });
  }
  ~RelayHarness() {
    io_.stop();
    thread_.join();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] const http::Address& address() const { return address_; }
  http::RawAnswer post(const std::string& path, const std::string& body) {
    http::RawClient client(address_);
    client.send(post_bytes(path, body));
    return client.read_answer();
  }
  // Requests that are with the upstream.
  int active() {
    std::promise<int> value;
    asio::post(io_, [&] { value.set_value(front_.active); });
    return value.get_future().get();
  }

 private:
  asio::io_context io_;
  Front front_;
  std::string directory_;
  std::unique_ptr<http::Server> server_;
  http::Address address_;
  std::thread thread_;
};

const std::string kStream =
    R"({"prompt":"x","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}})";
const std::string kWhole = R"({"prompt":"x"})";

std::string word(const std::string& text, const char* finish = "null") {
  return "data: {\"choices\":[{\"index\":0,\"text\":\"" + text + "\",\"finish_reason\":" + finish + "}]}\n\n";
}

std::string with_status(const std::string& status, const std::string& body, std::size_t length = std::string::npos) {
  return "HTTP/1.1 " + status + "\r\ncontent-type: application/json\r\ncontent-length: " +
         std::to_string(length == std::string::npos ? body.size() : length) + "\r\nconnection: close\r\n\r\n" + body;
}

http::RawAnswer ask(const std::string& upstream_bytes, const std::string& request,
                    const std::string& path = "/v1/completions") {
  ScriptedUpstream upstream(upstream_bytes, ScriptedUpstream::End::kClose);
  RelayHarness relay(upstream.address());
  http::RawAnswer first = relay.post(path, request);
  const http::RawAnswer second = relay.post(path, request);
  EXPECT_EQ(first.status, second.status) << "the next caller is served alike";
  EXPECT_EQ(first.body, second.body);
  return first;
}

std::string code_of(const http::RawAnswer& answer) {
  const std::size_t at = answer.body.find("\"code\":\"");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + 8;
  return answer.body.substr(begin, answer.body.find('"', begin) - begin);
}

TEST(Relay, MissingUsageIsCounted) {
  const http::RawAnswer answer =
      ask(std::string(kEvents) + word("a") + word("b", "\"stop\"") + "data: [DONE]\n\n", kStream);
  const std::vector<std::string> payloads = sse_payloads(answer.body);
  ASSERT_EQ(payloads.size(), 4U) << answer.body;
  EXPECT_EQ(api::parse_chunk(payloads[1])->usage->completion_tokens, 2);
  EXPECT_EQ(api::parse_chunk(payloads[2])->usage->completion_tokens, 2);
  EXPECT_TRUE(answer.complete);
}

TEST(Relay, ALastEventWithoutItsEmptyLineIsTaken) {
  const http::RawAnswer answer = ask(std::string(kEvents) + word("a") + "data: [DONE]", kStream);
  EXPECT_EQ(sse_payloads(answer.body).back(), "[DONE]");
  EXPECT_TRUE(answer.complete);
}

TEST(Relay, AStreamThatBreaksOffIsAnErrorEvent) {
  const http::RawAnswer answer = ask(std::string(kEvents) + word("a") + "data: {\"cho", kStream);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(code_of(answer), "worker_crashed");
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  const http::RawAnswer chunked = ask(
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n" + word("a"),
      kStream);
  EXPECT_EQ(code_of(chunked), "worker_crashed");
  const http::RawAnswer bad_framing =
      ask("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", kStream);
  EXPECT_EQ(bad_framing.status, 502) << "before the first byte, a status";
}

TEST(Relay, NonsenseInAStreamIsATypedError) {
  EXPECT_EQ(code_of(ask(std::string(kEvents) + "data: <html>\n\n", kStream)), "internal_error");
  EXPECT_EQ(ask(std::string(kEvents) + "data: <html>\n\n", kStream).status, 500);
  EXPECT_EQ(code_of(ask(std::string(kEvents) + word("a") + "data: {]\n\n", kStream)), "internal_error");
  EXPECT_EQ(ask(std::string(kEvents) + "data: {\"error\":{\"code\":503}}\n\n", kStream).status, 503);
  const std::string line(10'000'000, 'x');
  EXPECT_EQ(code_of(ask(std::string(kEvents) + "data: " + line + "\n\n", kStream)), "internal_error");
}

TEST(Relay, AnotherKindOfAnswerToAStreamIsATypedError) {
  EXPECT_EQ(ask(with_status("200 OK", "{\"choices\":[]}"), kStream).status, 500);
  EXPECT_EQ(ask(with_status("200 OK", R"({"error":{"message":"x","code":429}})"), kStream).status, 503);
}

TEST(Relay, StatusesBecomeOurErrors) {
  EXPECT_EQ(ask(with_status("400 Bad", R"({"error":{"message":"/secret","type":"BadRequestError"}})"), kStream).status,
            400);
  EXPECT_EQ(ask(with_status("401 No", "{}"), kStream).status, 500);
  EXPECT_EQ(ask(with_status("503 Busy", "<html>"), kStream).status, 503);
  EXPECT_EQ(ask(with_status("500 Oh", std::string(100'000, 'x')), kWhole).status, 500);
  EXPECT_EQ(ask(with_status("302 Found", ""), kWhole).status, 500);
}

TEST(Relay, LiesAboutTheLengthAndNoHttpAtAllAreTypedErrors) {
  EXPECT_EQ(ask(with_status("200 OK", "{\"choices\":[]}", 1000), kWhole).status, 502) << "shorter than promised";
  EXPECT_EQ(ask(with_status("200 OK", "{\"choices\":[]}", 3), kWhole).status, 500) << "cut: no JSON";
  EXPECT_EQ(ask("hello\r\n\r\n", kWhole).status, 502);
  EXPECT_EQ(ask("", kWhole).status, 502);
  EXPECT_EQ(ask("HTTP/1.1 200 OK\r\nx: " + std::string(100'000, 'x') + "\r\n\r\n", kWhole).status, 502);
  EXPECT_EQ(ask(with_status("200 OK", std::string(20'000'000, '1')), kWhole).status, 500);
}

TEST(Relay, NobodyListensIsATypedError) {
  const Result<http::Address> nobody = free_loopback_address();
  ASSERT_TRUE(nobody.has_value());
  RelayHarness relay(*nobody);
  EXPECT_EQ(relay.post("/v1/completions", kStream).status, 502);
  EXPECT_EQ(relay.post("/v1/embeddings", kStream).status, 502);
}

TEST(Relay, OtherPathsPassAnswersAsTheyCome) {
  EXPECT_EQ(ask(with_status("201 Created", "anything"), "{}", "/v1/files").status, 201);
  EXPECT_EQ(ask(with_status("201 Created", "anything"), "{}", "/v1/files").body, "anything");
  EXPECT_EQ(ask(std::string(kEvents) + "event: x\ndata: 1\n\n", "{}", "/v1/responses").body, "event: x\ndata: 1\n\n");
  EXPECT_EQ(ask(with_status("404 No", "/secret"), "{}", "/v1/responses").status, 404);
}

TEST(Relay, ACallerThatGoesTakesItsRequestWithIt) {
  for (const char* path : {"/v1/completions", "/v1/responses"}) {
    for (const std::string& bytes : {std::string(kEvents) + word("a"), std::string()}) {
      ScriptedUpstream upstream(bytes, ScriptedUpstream::End::kHold);
      RelayHarness relay(upstream.address());
      {
        http::RawClient client(relay.address());
        client.send(post_bytes(path, kStream));
        ASSERT_TRUE(http::TestServer::eventually([&] { return upstream.requests == 1; }));
      }
      EXPECT_TRUE(http::TestServer::eventually([&] { return upstream.closed_by_peer == 1; })) << path;
      EXPECT_TRUE(http::TestServer::eventually([&] { return relay.active() == 0; })) << path;
    }
  }
}

TEST(Relay, AReaderThatStopsSlowsTheUpstreamDown) {
  ScriptedUpstream upstream(word(std::string(10'000, 'a')), ScriptedUpstream::End::kFlood, std::string(kEvents));
  RelayHarness relay(upstream.address());
  {
    http::RawClient client(relay.address(), 4096);
    client.send(post_bytes("/v1/completions", kStream));
    std::size_t before = 0;
    // Nothing tells that nothing will happen: it stands still when two looks 200 ms apart see the same.
    EXPECT_TRUE(http::TestServer::eventually([&] {
      const std::size_t seen = before;
      before = upstream.sent_bytes;
      ::poll(nullptr, 0, 200);
      return seen > 0 && seen == upstream.sent_bytes;
    }));
    EXPECT_LT(upstream.sent_bytes, 32U << 20) << "socket buffers, not ours";
  }
  EXPECT_TRUE(http::TestServer::eventually([&] { return upstream.closed_by_peer == 1; }));
}

}  // namespace
}  // namespace dormouse::worker::adopt
