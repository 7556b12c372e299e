#include "http/server_fixture_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "http/wire.h"

namespace dormouse::http {
namespace {

constexpr int kPatienceMs = 10'000;

Response text(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.set("content-type", "text/plain");
  response.body = std::move(body);
  return response;
}

Task<void> flood(Exchange& exchange, std::atomic<int>& end) {
  Status status = co_await exchange.start_stream(200, {});
  while (status) {
    std::string piece(64 * 1024, 'x');
    status = co_await exchange.write(std::move(piece));
  }
  end = static_cast<int>(status.error().code);
}

Task<void> echo_messages(Exchange& exchange) {
  Result<std::unique_ptr<WebSocket>> socket = co_await exchange.upgrade();
  if (!socket) {
    Response response = text(400, "no websocket");
    if (!exchange.started()) co_await exchange.send(std::move(response));
    co_return;
  }
  for (;;) {
    Result<std::string> message = co_await (*socket)->read();
    if (!message || *message == "bye") co_return;
    const Status sent = co_await (*socket)->write(*std::move(message));
    if (!sent) co_return;
  }
}

Task<void> wait_until_gone(Exchange& exchange, asio::io_context& io, std::atomic<int>& gone) {
  asio::steady_timer timer(io, asio::steady_timer::time_point::max());
  std::function<void()> wake = [&timer] { timer.cancel(); };
  exchange.on_client_gone(std::move(wake));
  co_await timer.async_wait(kTuple);
  if (exchange.client_gone()) ++gone;
}

Task<void> stream_words(Exchange& exchange, bool breaks_off) {
  for (const char* word : {"one", "two", "three"}) {
    if (!exchange.started()) {
      const Status started = co_await exchange.start_stream(200, {});
      if (!started) co_return;
    }
    std::string piece = word;
    const Status written = co_await exchange.write(std::move(piece));
    if (!written) co_return;
    if (breaks_off) co_return exchange.abort();
  }
  co_await exchange.finish();
}

Task<void> sleep_and_answer(Exchange& exchange, asio::io_context& io) {
  asio::steady_timer timer(io, std::chrono::milliseconds(300));
  co_await timer.async_wait(kTuple);
  Response response = text(200, "slept");
  co_await exchange.send(std::move(response));
}

}  // namespace

TestServer::TestServer(ServerLimits limits, bool tcp) {
  std::string pattern = "/tmp/dormouse-http-XXXXXX";
  directory_ = ::mkdtemp(pattern.data());
  Handler handler = [this](Exchange& exchange) { return handle(exchange); };
  ErrorBody error_body = [](int status, std::string_view code) {
    return ErrorAnswer(R"({"error":{"code":")" + std::string(code) + R"(","status":)" + std::to_string(status) + "}}");
  };
  server_ = std::make_unique<Server>(io_, limits, std::move(handler), std::move(error_body));
  const Address wanted = Address::parse(tcp ? "127.0.0.1:0" : "unix:" + directory_ + "/s").value();
  address_ = server_->listen(wanted, "test").value();
  thread_ = std::thread([this] {
    const auto guard = asio::make_work_guard(io_);
    io_.run();
  });
}

TestServer::~TestServer() {
  drain(std::chrono::milliseconds(100));
  asio::post(io_, [this] { server_.reset(); });
  io_.stop();
  thread_.join();
  server_.reset();
  ::rmdir(directory_.c_str());
}

bool TestServer::eventually(const std::function<bool()>& condition) {
  // The server's side has no event a test could wait for without changing what is tested.
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

void TestServer::drain(std::chrono::milliseconds deadline) {
  std::promise<void> done;
  asio::co_spawn(io_, server_->drain(deadline), [&done](std::exception_ptr) { done.set_value(); });
  done.get_future().wait();
}

std::size_t TestServer::connections() {
  std::promise<std::size_t> count;
  asio::post(io_, [&] { count.set_value(server_->connections()); });
  return count.get_future().get();
}

Task<void> TestServer::handle(Exchange& exchange) {
  ++handled;
  const Request& request = exchange.request();
  if (request.path == "/throw") throw std::runtime_error("on purpose");
  if (request.path == "/silent") co_return;
  if (request.path == "/flood") {
    co_await flood(exchange, flood_end);
  } else if (request.path == "/ws") {
    co_await echo_messages(exchange);
  } else if (request.path == "/wait") {
    co_await wait_until_gone(exchange, io_, gone);
  } else if (request.path == "/stream" || request.path == "/abort") {
    co_await stream_words(exchange, request.path == "/abort");
  } else if (request.path == "/sleep") {
    co_await sleep_and_answer(exchange, io_);
  } else {
    std::string body = request.path == "/hello"  ? "hello"
                       : request.path == "/echo" ? request.body
                                                 : request.path + "?" + request.query;
    const bool known = request.path == "/hello" || request.path == "/echo" || request.path.starts_with("/path");
    Response response = text(known ? 200 : 404, std::move(body));
    co_await exchange.send(std::move(response));
  }
}

RawClient::RawClient(const Address& address, int receive_buffer_bytes) {
  const bool is_unix = address.kind == Address::Kind::kUnix;
  fd_.reset(::socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer_bytes > 0) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, address.path.data(), address.path.size());
  sockaddr_in remote{};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(address.port);
  ::inet_pton(AF_INET, address.host.c_str(), &remote.sin_addr);
  const auto* where = is_unix ? reinterpret_cast<const sockaddr*>(&local) : reinterpret_cast<const sockaddr*>(&remote);
  if (::connect(fd_.get(), where, is_unix ? sizeof(local) : sizeof(remote)) != 0) fd_.reset();
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void RawClient::shutdown_send() {
  ::shutdown(fd_.get(), SHUT_WR);
}

// False: ended or too slow.
bool RawClient::fill() {
  pollfd wait{fd_.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatienceMs) <= 0) return false;
  std::array<char, 16384> piece{};
  const ssize_t n = ::recv(fd_.get(), piece.data(), piece.size(), 0);
  if (n <= 0) return false;
  buffer_.append(piece.data(), static_cast<std::size_t>(n));
  return true;
}

RawAnswer RawClient::read_answer() {
  RawAnswer answer;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return answer;
  }
  answer.head = buffer_.substr(0, end + 4);
  buffer_.erase(0, end + 4);
  for (char& c : answer.head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  answer.status = std::stoi(answer.head.substr(9, 3));
  if (answer.status < 200 || answer.status == 204) {
    answer.complete = true;
    return answer;
  }
  if (answer.head.find("transfer-encoding: chunked") != std::string::npos) {
    ChunkDecoder decoder;
    for (;;) {
      const auto used = decoder.push(buffer_, answer.body, 1U << 30);
      if (!used) return answer;
      buffer_.erase(0, *used);
      if (decoder.done()) break;
      if (!fill()) return answer;
    }
    answer.complete = true;
    return answer;
  }
  const std::size_t length_at = answer.head.find("content-length: ");
  if (length_at == std::string::npos) {
    while (fill()) {
    }
    answer.body = std::exchange(buffer_, {});
    answer.complete = true;
    return answer;
  }
  const std::size_t length = std::stoul(answer.head.substr(length_at + 16));
  while (buffer_.size() < length) {
    if (!fill()) return answer;
  }
  answer.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  answer.complete = true;
  return answer;
}

std::optional<std::string> RawClient::read_to_end() {
  for (;;) {
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPatienceMs) <= 0) return std::nullopt;
    std::array<char, 16384> piece{};
    const ssize_t n = ::recv(fd_.get(), piece.data(), piece.size(), 0);
    if (n <= 0) return std::exchange(buffer_, {});
    buffer_.append(piece.data(), static_cast<std::size_t>(n));
  }
}

int count_answers(const std::string& bytes) {
  int count = 0;
  for (std::size_t at = bytes.find("HTTP/1.1 "); at != std::string::npos; at = bytes.find("HTTP/1.1 ", at + 1)) ++count;
  return count;
}

}  // namespace dormouse::http
