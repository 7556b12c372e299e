#include "http/listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace dormouse::http {
namespace {

constexpr int kBacklog = 4096;  // the system cuts it to net.core.somaxconn
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;
constexpr int kSocketFlags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof(out.sun_path)) return make_error(Code::kInvalidArgument, "socket path too long");
  std::memcpy(out.sun_path, path.data(), path.size());
  return out;
}

// Makes room at the path, if what is there is a socket nobody answers on.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) {
    return make_error(Code::kAlreadyExists, fmt::format("{} exists and is not a socket", path));
  }
  const UniqueFd probe(::socket(AF_UNIX, kSocketFlags, 0));
  if (!probe.is_open()) return errno_error("socket", errno);
  // EAGAIN: a full backlog, so somebody is there.
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    return make_error(Code::kAlreadyExists, fmt::format("another process answers on {}", path));
  }
  if (errno != ECONNREFUSED) return errno_error(path, errno);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error(path, errno);
  return {};
}

Result<BoundSocket> bind_unix(const Address& address) {
  TRY(const sockaddr_un where, unix_address(address.path));
  TRY_STATUS(remove_stale(address.path, where));
  BoundSocket out{UniqueFd(::socket(AF_UNIX, kSocketFlags, 0)), address, AF_UNIX};
  if (!out.fd.is_open()) return errno_error("socket", errno);
  // Before bind: Linux gives the file the mode of the socket, so there is no moment with a wider one.
  if (::fchmod(out.fd.get(), kOwnerOnly) != 0) return errno_error("fchmod", errno);
  if (::bind(out.fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    return errno_error(address.path, errno);
  }
  if (::listen(out.fd.get(), kBacklog) != 0) return errno_error(address.path, errno);
  return out;
}

Result<BoundSocket> bind_tcp(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (failure != 0) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: {}", address.to_string(), ::gai_strerror(failure)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  BoundSocket out{UniqueFd(::socket(found->ai_family, kSocketFlags, 0)), address, found->ai_family};
  if (!out.fd.is_open()) return errno_error("socket", errno);
  const int on = 1;
  if (::setsockopt(out.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
    return errno_error("setsockopt", errno);
  if (::bind(out.fd.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(out.fd.get(), kBacklog) != 0) {
    return errno_error(address.to_string(), errno);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(out.fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return errno_error("getsockname", errno);
  out.address.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                                       : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  return out;
}

}  // namespace

Result<BoundSocket> bind_and_listen(const Address& address) {
  switch (address.kind) {
    case Address::Kind::kUnix: return bind_unix(address);
    case Address::Kind::kTcp: return bind_tcp(address);
  }
  return make_error(Code::kInternal, "address kind");
}

}  // namespace dormouse::http
