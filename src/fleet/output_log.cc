#include "fleet/output_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace dormouse::fleet {

OutputLog::OutputLog(const std::string& directory, const std::string& deployment, std::size_t limit_bytes)
    : limit_bytes_(limit_bytes) {
  std::string name = deployment;
  for (char& c : name) {
    if (c == '/' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  path_ = directory + "/" + name + ".log";
  open();
}

void OutputLog::open() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat info {};
  bytes_ = fd_.is_open() && ::fstat(fd_.get(), &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
}

void OutputLog::append(std::string_view chunk) {
  if (bytes_ > 0 && bytes_ + chunk.size() > limit_bytes_) {
    ::rename(path_.c_str(), (path_ + ".1").c_str());
    open();
  }
  while (!chunk.empty() && fd_.is_open()) {
    const ssize_t written = ::write(fd_.get(), chunk.data(), chunk.size());
    if (written <= 0) return;
    bytes_ += static_cast<std::size_t>(written);
    chunk.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace dormouse::fleet
