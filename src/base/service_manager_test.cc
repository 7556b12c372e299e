// Goal: a service manager hears what it is told, by either kind of socket name, and nothing is waited for where there
// is none. Method: a real datagram socket.
#include "base/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/unique_fd.h"

namespace dormouse {
namespace {

// Bound to the name as NOTIFY_SOCKET has it; '@' begins an abstract one.
UniqueFd listen_at(const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0) << std::strerror(errno);
  return fd;
}

std::string heard(const UniqueFd& fd) {
  char text[64] = {};
  const ssize_t count = ::recv(fd.get(), text, sizeof text, 0);
  return count > 0 ? std::string(text, static_cast<std::size_t>(count)) : std::string();
}

class ServiceManager : public ::testing::Test {
 protected:
  void TearDown() override { ::unsetenv("NOTIFY_SOCKET"); }
};

TEST_F(ServiceManager, HearsAtAPathAndAtAnAbstractName) {
  char directory[] = "/tmp/dormouse_notify_XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/socket";
  for (const std::string& name : {path, "@" + path}) {
    const UniqueFd manager = listen_at(name);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    tell_service_manager("READY=1");
    EXPECT_EQ(heard(manager), "READY=1") << name;
  }
  ::unlink(path.c_str());
  ::rmdir(directory);
}

TEST_F(ServiceManager, NobodyAndNonsenseAreNoTrouble) {
  tell_service_manager("READY=1");
  for (const std::string& name :
       {std::string(), std::string("relative"), std::string("/no/such/socket"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    tell_service_manager("READY=1");
  }
  const UniqueFd manager = listen_at("@dormouse-nobody-" + std::to_string(::getpid()));
  tell_service_manager("READY=1");
  EXPECT_EQ(heard(manager), "");
}

}  // namespace
}  // namespace dormouse
