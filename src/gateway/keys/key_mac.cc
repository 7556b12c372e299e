// The low-level hash functions, which OpenSSL 3 calls deprecated: its one-call ones look the algorithm up, which makes
// megabytes of the library resident for a gateway that otherwise needs none of them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "gateway/keys/key_mac.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <utility>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kApiKeyLabel = "dormouse api-key-mac v1";
constexpr std::size_t kBlockBytes = 64;  // of SHA-256
constexpr std::size_t kPepperHex = 64;
constexpr std::size_t kMaxFileBytes = 4'096;  // some fifty versions

std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest sha256(std::string_view a, std::string_view b) {
  Digest out;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, a.data(), a.size());
  SHA256_Update(&context, b.data(), b.size());
  SHA256_Final(out.data(), &context);
  OPENSSL_cleanse(&context, sizeof context);
  return out;
}

Status write_durably(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) {
    if (errno == EEXIST) return make_error(Code::kAlreadyExists, path + " exists");
    return errno_error(path, errno);
  }
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return errno_error(path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd.get()) != 0) return errno_error(path, errno);
  return {};
}

Status sync_directory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) return errno_error(path, errno);
  return {};
}

Result<std::string> read_private(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) return errno_error(path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return errno_error(path, errno);
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077U) != 0) {
    return make_error(Code::kPermissionDenied, fmt::format("{} may be read by others: chmod 600 it", path));
  }
  std::string out(kMaxFileBytes + 1, '\0');
  const ssize_t got = ::pread(fd.get(), out.data(), out.size(), 0);
  if (got < 0) return errno_error(path, errno);
  out.resize(static_cast<std::size_t>(got));
  return out;
}

}  // namespace

Digest hmac_sha256(std::string_view key, std::string_view text) {
  std::string pad(kBlockBytes, '\0');
  if (key.size() > kBlockBytes) {
    const Digest shortened = sha256(key, {});
    std::copy(shortened.begin(), shortened.end(), pad.begin());
  } else {
    std::copy(key.begin(), key.end(), pad.begin());
  }
  for (char& c : pad) c = static_cast<char>(c ^ 0x36);
  const Digest inner = sha256(pad, text);
  for (char& c : pad) c = static_cast<char>(c ^ 0x36 ^ 0x5c);
  const Digest out = sha256(pad, as_text(inner));
  OPENSSL_cleanse(pad.data(), pad.size());
  return out;
}

Digest hkdf_sha256(std::string_view secret, std::string_view salt, std::string_view label) {
  const Digest extracted = hmac_sha256(salt, secret);
  std::string info(label);
  info += '\x01';
  return hmac_sha256(as_text(extracted), info);
}

std::string to_hex(const Digest& digest) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<Pepper> Pepper::parse(std::string_view text, const std::string& path) {
  Pepper out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::int64_t version = 0;
    const auto [end, ec] = std::from_chars(line.data(), line.data() + line.size(), version);
    const std::string_view rest(end, static_cast<std::size_t>(line.data() + line.size() - end));
    const bool hex = rest.size() == kPepperHex + 1 && rest.front() == ' ' &&
                     rest.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
    if (ec != std::errc() || version <= 0 || !hex || out.keys_.contains(version)) {
      return make_error(Code::kDataLoss, fmt::format("{}: want lines of a version and 64 characters of hex", path));
    }
    out.keys_[version] = hkdf_sha256(rest.substr(1), {}, kApiKeyLabel);
  }
  if (out.keys_.empty()) return make_error(Code::kDataLoss, fmt::format("{} is empty", path));
  return out;
}

Result<Pepper> Pepper::read(const std::string& path) {
  TRY(std::string text, read_private(path));
  if (text.size() > kMaxFileBytes) return make_error(Code::kDataLoss, fmt::format("{} is no pepper: too long", path));
  Result<Pepper> out = parse(text, path);
  OPENSSL_cleanse(text.data(), text.size());
  return out;
}

Result<Pepper> Pepper::create(const std::string& path) {
  std::string text = fmt::format("1 {}\n", random_hex(kPepperHex / 2));
  // Whole or not at all: a file that a crash left half written would make every key of it unknown.
  const std::string partial = path + ".partial";
  ::unlink(partial.c_str());
  TRY_STATUS(write_durably(partial, text));
  if (::link(partial.c_str(), path.c_str()) != 0) {
    const int failed = errno;
    ::unlink(partial.c_str());
    if (failed == EEXIST) return make_error(Code::kAlreadyExists, path + " exists");
    return errno_error(path, failed);
  }
  ::unlink(partial.c_str());
  TRY_STATUS(sync_directory(std::filesystem::path(path).parent_path().string()));
  Result<Pepper> out = parse(text, path);
  OPENSSL_cleanse(text.data(), text.size());
  return out;
}

std::string Pepper::mac(std::int64_t version, std::string_view key) const {
  const auto found = keys_.find(version);
  return to_hex(hmac_sha256(as_text(found != keys_.end() ? found->second : keys_.rbegin()->second), key));
}

}  // namespace dormouse::gateway
