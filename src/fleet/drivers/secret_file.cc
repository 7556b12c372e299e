#include "fleet/drivers/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/unique_fd.h"

namespace dormouse::fleet {

Result<SecretFile> SecretFile::write(const std::string& path, std::string_view content) {
  ::unlink(path.c_str());  // of a gateway that died meanwhile
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return errno_error(path, errno);
  SecretFile file(path);
  while (!content.empty()) {
    const ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return errno_error(path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return file;
}

SecretFile::~SecretFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

SecretFile::SecretFile(SecretFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}

SecretFile& SecretFile::operator=(SecretFile&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

}  // namespace dormouse::fleet
