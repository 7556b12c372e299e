#include "cli/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace dormouse::cli {
namespace {

constexpr std::size_t kPieceBytes = 64U << 10;

Error cannot_read(std::string_view flag, const std::string& path) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: cannot read {}: {}", flag, path, std::strerror(errno)));
}

}  // namespace

Result<std::string> read_input_file(std::string_view flag, const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return cannot_read(flag, path);
  std::string out;
  std::array<char, kPieceBytes> piece{};
  while (true) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot_read(flag, path);
    if (count == 0) return out;
    out.append(piece.data(), static_cast<std::size_t>(count));
    if (out.size() > kMostFileBytes) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: {} has more than {} MiB: is it the right file?", flag,
                                                            path, kMostFileBytes >> 20U));
    }
  }
}

}  // namespace dormouse::cli
