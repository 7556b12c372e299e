#include "catalog/pull_fixture_test.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <utility>

namespace dormouse::catalog {
namespace {

bool read_head(int fd, std::string& buffer, Seen& out) {
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    char piece[4096];
    const ssize_t n = ::recv(fd, piece, sizeof(piece), 0);
    if (n <= 0) return false;
    buffer.append(piece, static_cast<std::size_t>(n));
  }
  const std::string head = buffer.substr(0, end + 2);
  buffer.erase(0, end + 4);
  out.method = head.substr(0, head.find(' '));
  out.target = head.substr(out.method.size() + 1, head.find(' ', out.method.size() + 1) - out.method.size() - 1);
  std::size_t at = head.find("\r\n") + 2;
  while (at < head.size()) {
    const std::size_t line_end = head.find("\r\n", at);
    const std::size_t colon = head.find(':', at);
    std::string name = head.substr(at, colon - at);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    out.headers[name] = head.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  return true;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Reply reply(int status, const std::map<std::string, std::string>& headers, std::string_view body) {
  std::string out = fmt::format("HTTP/1.1 {} X\r\n", status);
  for (const auto& [name, value] : headers) out += fmt::format("{}: {}\r\n", name, value);
  if (!headers.contains("Content-Length") && !headers.contains("Transfer-Encoding")) {
    out += fmt::format("Content-Length: {}\r\n", body.size());
  }
  out += "\r\n";
  out += body;
  return {std::move(out)};
}

Reply honest(const Seen& seen, std::string_view content, const std::map<std::string, std::string>& headers) {
  std::map<std::string, std::string> all = headers;
  if (seen.method == "HEAD") {
    all["Content-Length"] = std::to_string(content.size());
    return reply(200, all, "");
  }
  const auto range = seen.headers.find("range");
  if (range == seen.headers.end()) return reply(200, all, content);
  std::size_t begin = 0;
  std::size_t last = 0;
  const std::string_view text = std::string_view(range->second).substr(std::string_view("bytes=").size());
  const std::size_t dash = text.find('-');
  std::from_chars(text.data(), text.data() + dash, begin);
  std::from_chars(text.data() + dash + 1, text.data() + text.size(), last);
  if (begin >= content.size()) return reply(416, all, "");
  last = std::min(last, content.size() - 1);
  all["Content-Range"] = fmt::format("bytes {}-{}/{}", begin, last, content.size());
  return reply(206, all, content.substr(begin, last - begin + 1));
}

LyingServer::LyingServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), any, size) == 0 && ::listen(listener_.get(), 64) == 0 &&
      ::getsockname(listener_.get(), any, &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  acceptor_ = std::thread([this] { accept_all(); });
}

LyingServer::~LyingServer() {
  is_over_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

void LyingServer::accept_all() {
  while (!is_over_) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::lock_guard lock(mutex_);
    open_.insert(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void LyingServer::serve(int fd) {
  std::string buffer;
  for (bool goes_on = true; goes_on;) {
    Seen seen;
    if (!read_head(fd, buffer, seen)) break;
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(seen);
    }
    const Reply answer = handler_(seen);
    goes_on = send_all(fd, answer.bytes) && !answer.cut;
  }
  const std::lock_guard lock(mutex_);
  open_.erase(fd);
  ::close(fd);
}

std::string LyingServer::authority() const {
  return fmt::format("127.0.0.1:{}", port_);
}
std::string LyingServer::url(std::string_view target) const {
  return fmt::format("http://{}{}", authority(), target);
}

std::vector<Seen> LyingServer::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::size_t LyingServer::connections() const {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

std::size_t LyingServer::count(std::string_view method) const {
  std::size_t out = 0;
  for (const Seen& one : seen()) out += one.method == method ? 1U : 0U;
  return out;
}

}  // namespace dormouse::catalog
