#include "gateway/limits/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kHeading = "dormouse-limits 1";
constexpr std::size_t kMaxBytes = 4U << 20;  // some 40,000 holders; more are not kept
constexpr Nanoseconds kLongest = std::chrono::minutes(1);
constexpr mode_t kOwnerOnly = 0600;

std::string_view take_word(std::string_view& text, char end) {
  const std::size_t size = std::min(text.find(end), text.size());
  const std::string_view word = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return word;
}

bool take_number(std::string_view& text, std::int64_t& out) {
  const std::string_view word = take_word(text, ' ');
  const auto [end, ec] = std::from_chars(word.data(), word.data() + word.size(), out);
  return ec == std::errc() && end == word.data() + word.size() && out >= 0;
}

// Names of keys and deployments are words; one that is not is not worth a broken file.
bool is_word(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::optional<BucketState> read_line(std::string_view line) {
  BucketState out;
  const std::string_view holder = take_word(line, ' ');
  if (holder != "key" && holder != "deployment") return std::nullopt;
  out.holder = holder == "key" ? Holder::kKey : Holder::kDeployment;
  out.name = take_word(line, ' ');
  const bool is_whole = is_word(out.name) && take_number(line, out.requests_per_minute) &&
                        take_number(line, out.requests_missing) && take_number(line, out.tokens_per_minute) &&
                        take_number(line, out.tokens_missing) && line.empty();
  if (!is_whole) return std::nullopt;
  return out;
}

Error damaged(std::string_view what) {
  return make_error(Code::kDataLoss, fmt::format("limits.state: {}", what));
}

Error failed(std::string_view what, const std::string& path) {
  return make_error(errno == ENOENT ? Code::kNotFound : Code::kUnavailable,
                    fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

}  // namespace

std::string write_limit_state(const LimitState& state) {
  std::string out = fmt::format("{}\nat {} {}\n", kHeading, state.at.ns, state.at_wall.us);
  for (const BucketState& b : state.buckets) {
    if (!is_word(b.name) || out.size() > kMaxBytes - 1'024) continue;
    out += fmt::format("{} {} {} {} {} {}\n", b.holder == Holder::kKey ? "key" : "deployment", b.name,
                       b.requests_per_minute, b.requests_missing, b.tokens_per_minute, b.tokens_missing);
  }
  out += fmt::format("crc {:08x}\n", crc32(out.data(), out.size()));
  return out;
}

Result<LimitState> read_limit_state(const std::string& text) {
  constexpr std::size_t kLastLine = sizeof("crc 00000000\n") - 1;
  if (text.size() < kLastLine) return damaged("too short");
  const std::size_t end = text.size() - kLastLine;
  if (text.substr(end) != fmt::format("crc {:08x}\n", crc32(text.data(), end))) return damaged("its CRC is wrong");
  std::string_view rest = std::string_view(text).substr(0, end);
  if (take_word(rest, '\n') != kHeading) return damaged("of another version");
  LimitState out;
  std::string_view at = take_word(rest, '\n');
  if (take_word(at, ' ') != "at" || !take_number(at, out.at.ns) || !take_number(at, out.at_wall.us)) {
    return damaged("no time");
  }
  while (!rest.empty()) {
    std::optional<BucketState> bucket = read_line(take_word(rest, '\n'));
    if (!bucket.has_value()) return damaged("a line that cannot be read");
    out.buckets.push_back(*std::move(bucket));
  }
  return out;
}

Nanoseconds age_of(const LimitState& state, MonoTime now, WallTime wall) {
  const bool same_boot = now >= state.at;
  const Nanoseconds by_wall = std::chrono::microseconds(std::clamp<std::int64_t>(
      wall.us - state.at_wall.us, 0, std::chrono::duration_cast<std::chrono::microseconds>(kLongest).count()));
  return std::min(same_boot ? now - state.at : by_wall, kLongest);
}

Result<LimitState> load_limit_state(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return failed("open", path);
  std::string text;
  std::array<char, 16'384> piece{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got < 0) return failed("read", path);
    if (got == 0) return read_limit_state(text);
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxBytes) return damaged("too large");
  }
}

Status save_limit_state(const std::string& path, const LimitState& state) {
  const std::string text = write_limit_state(state);
  const std::string beside = path + ".new";
  {
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kOwnerOnly));
    if (!fd.is_open()) return failed("open", beside);
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) return failed("write", beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("rename", beside);
  return {};
}

}  // namespace dormouse::gateway
